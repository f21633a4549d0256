"""Sessions that were to end but that the store could not remove: nobody gets in under them.

Known to this process alone, and kept until the record is gone, as long as the process
lives and no ten thousand others have come since.
"""

from __future__ import annotations

MAX_DENIALS = 10_000


class Denials:
    """Handles that open nothing, each with that of the record left, and until when to deny it."""

    def __init__(self) -> None:
        self.denied: dict[str, tuple[str, int]] = {}
        """Empty nearly always, and asked at every read: no method of its own."""

    def record_left(self, handle: str) -> str | None:
        """Return the handle of the record that is to go still; None if *handle* is not denied."""
        found = self.denied.get(handle)
        return found[0] if found else None

    def add(self, handle: str, record: str, until: int) -> None:
        """Deny *handle* and *record*, what is left of it, up to *until* (Unix seconds)."""
        for denied in (handle, record):
            self.denied[denied] = (record, until)
        while len(self.denied) > MAX_DENIALS:
            del self.denied[next(iter(self.denied))]

    def remove(self, record: str) -> None:
        """Deny nothing any longer for the sake of *record*: it is gone."""
        for handle in [handle for handle, (left, _) in self.denied.items() if left == record]:
            del self.denied[handle]

    def pending(self, now: int, limit: int) -> list[str]:
        """Return up to *limit* records that are to go still; forget those that have expired."""
        self.denied = {handle: denied for handle, denied in self.denied.items() if denied[1] > now}
        return list(dict.fromkeys(record for record, _ in self.denied.values()))[:limit]
