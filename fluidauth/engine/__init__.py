"""The engine: the only place where rules, store, clock and events meet.

Public is what this module itself has.
"""

from .engine import SessionEngine as SessionEngine
