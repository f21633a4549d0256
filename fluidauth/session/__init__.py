"""What one request sees of its session, and what it did with it. No I/O, no keys, no rules."""

from .session import Session as Session
