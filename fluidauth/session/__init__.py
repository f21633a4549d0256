"""What one request sees of its session, and what it did with it. No I/O, no keys, no rules.

Only the names in this module are public.
"""

from .session import Session as Session
