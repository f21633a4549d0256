"""Two stores as one while sessions move from the first to the second. After each step a session is in one."""

from .store import AsyncMigratingStore as AsyncMigratingStore
from .store import MigratingStore as MigratingStore
