"""Sessions that were to end but that the store could not remove: nobody gets in under them.

Known to this process alone, and kept until the record is gone, as long as the process
lives and no ten thousand others have come since.
"""

from __future__ import annotations

MAX_DENIALS = 10_000


class Denylist:
    """Handles that open nothing, each with that of the record left, and until when to deny it.

    Threads deny and tidy at once: the dict is never replaced, changed by one entry at a
    time, and gone through as a list of that moment.
    """

    def __init__(self) -> None:
        self.denied: dict[str, tuple[str, int]] = {}
        """Empty nearly always, and asked at every read: no method of its own."""

    def record_left(self, handle: str) -> str | None:
        """Return the handle of the record that is to go still; None if *handle* is not denied."""
        found = self.denied.get(handle)
        return found[0] if found else None

    def add(self, handle: str, record: str, until: int) -> None:
        """Deny *handle* and *record*, what is left of it, up to *until* (Unix seconds).

        *record* is empty where there is none that could be removed.
        """
        for denied in filter(None, (handle, record)):
            self.denied[denied] = (record, until)
        for oldest in list(self.denied)[: max(0, len(self.denied) - MAX_DENIALS)]:
            self.denied.pop(oldest, None)

    def remove(self, record: str) -> None:
        """Deny nothing any longer for the sake of *record*: it is gone."""
        for handle, (left, _) in list(self.denied.items()):
            if left == record:
                self.denied.pop(handle, None)

    def lift(self, handle: str) -> None:
        """Deny *handle* no longer."""
        self.denied.pop(handle, None)

    def pending(self, now: int, limit: int) -> list[tuple[str, str, int]]:
        """Return up to *limit* that are to go still, each as ``(handle, record, until)``.

        Forget those that have expired.
        """
        found: dict[str, tuple[str, str, int]] = {}
        for handle, (record, until) in list(self.denied.items()):
            if until > now:
                found.setdefault(record or handle, (handle, record, until))
            else:
                self.denied.pop(handle, None)
        return list(found.values())[:limit]
