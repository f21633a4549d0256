"""Sessions that were to end but that the store could not remove: nobody gets in under them.

Known to this process alone, and kept until the store has done its part.
"""

from __future__ import annotations

MAX_DENIALS = 10_000


class Denials:
    """Handles of such sessions, each with the time from which nothing is left to deny."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def __contains__(self, handle: str) -> bool:
        return handle in self._until

    def add(self, handle: str, until: int) -> None:
        """Deny *handle* up to *until* (Unix seconds); the oldest denial gives way to the 10,001st."""
        self._until[handle] = until
        if len(self._until) > MAX_DENIALS:
            self.remove(next(iter(self._until)))

    def remove(self, handle: str) -> None:
        """Deny *handle* no longer: its record is gone."""
        self._until.pop(handle, None)

    def pending(self, now: int) -> list[str]:
        """Return the handles to be removed from the store still; forget those that have expired."""
        for handle, until in list(self._until.items()):
            if until <= now:
                self.remove(handle)
        return list(self._until)
