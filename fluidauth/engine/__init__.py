"""The engine: the only place where rules, store, clock and events meet."""

from .engine import SessionEngine as SessionEngine
