"""What one request sees of its session, and what it did with it. No I/O, no keys, no rules.

Public is what this module itself has.
"""

from .session import Session as Session
