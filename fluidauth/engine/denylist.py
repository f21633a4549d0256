"""Sessions that were to end but that the store could not remove: nobody gets in under them.

Known to this process alone, and kept until the record is gone, as long as the process
lives and no ten thousand others have come since.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DENIALS = 10_000


class Denial(NamedTuple):
    """One handle that opens nothing."""

    handle: str
    left: str
    """The handle of the record that is to go still; empty for an old cookie, under which there is none."""
    until: int
    """Unix seconds: nothing of it is left then."""

    @property
    def ends(self) -> str:
        """The handle under which something is to be ended."""
        return self.left or self.handle


class Denylist:
    """The denials of one engine, by handle.

    Threads deny and tidy at once: the dict is never replaced, changed by one entry at a
    time, and gone through as a list of that moment.
    """

    def __init__(self) -> None:
        self.denied: dict[str, Denial] = {}
        """Empty nearly always, and asked at every read: no method of its own."""
        self._tried: dict[str, int] = {}

    def add(self, handle: str, left: str, until: int) -> None:
        """Deny *handle* and *left*, the handle of what is left of it, up to *until* (Unix seconds)."""
        for denied in filter(None, (handle, left)):
            self.denied[denied] = Denial(handle, left, until)
        for oldest in list(self.denied)[: max(0, len(self.denied) - MAX_DENIALS)]:
            self.denied.pop(oldest, None)

    def remove(self, ended: str) -> None:
        """Deny nothing any longer for the sake of *ended*: the handle of a record, or of an old cookie."""
        for handle, denial in list(self.denied.items()):
            if denial.ends == ended:
                self.denied.pop(handle, None)

    def pending(self, now: int, limit: int) -> list[Denial]:
        """Return up to *limit* that are to go still, one for each record; forget those that have expired.

        Those that were tried least come first: some that fail each time keep no others waiting.
        """
        found: dict[str, Denial] = {}
        for handle, denial in list(self.denied.items()):
            if denial.until > now:
                found.setdefault(denial.ends, denial)
            else:
                self.denied.pop(handle, None)
        tried = {ends: self._tried.get(ends, 0) for ends in found}
        chosen = sorted(found.values(), key=lambda denial: tried[denial.ends])[:limit]
        self._tried = tried | {denial.ends: tried[denial.ends] + 1 for denial in chosen}
        return chosen
