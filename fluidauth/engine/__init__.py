"""The engine: the only place where rules, store, clock and events meet.

Only the names in this module are public.
"""

from .engine import SessionEngine as SessionEngine
