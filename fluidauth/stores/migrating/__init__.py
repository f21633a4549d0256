"""Two stores as one while sessions move from the first to the second: each step leaves them in one."""

from .store import AsyncMigratingStore as AsyncMigratingStore
from .store import MigratingStore as MigratingStore
