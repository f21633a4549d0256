"""Sessions that had to end while the store failed: this process lets nobody in under them.

Only this process knows the list. It keeps an entry until the record is removed, unless the
process ends, or ten thousand other entries come after it.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DENIALS = 10_000


class Denial(NamedTuple):
    """One handle that opens nothing."""

    handle: str
    left: str
    """The handle of the record still to be removed; empty for an old cookie, which has none."""
    until: int
    """Unix seconds: by then nothing of it is left."""

    @property
    def ends(self) -> str:
        """The handle under which something must be ended."""
        return self.left or self.handle


class Denylist:
    """The denials of one engine, by handle.

    Threads deny and tidy at the same time. So the dict is never replaced, it changes by one
    entry at a time, and loops use a copy of it as a list.
    """

    def __init__(self) -> None:
        self.denied: dict[str, Denial] = {}
        """Nearly always empty, and looked at in every read: so it has no method."""
        self._tried: dict[str, int] = {}

    def add(self, handle: str, left: str, until: int) -> None:
        """Deny *handle* and *left*, the handle of what is left of it, up to *until* (Unix seconds)."""
        for denied in filter(None, (handle, left)):
            self.denied[denied] = Denial(handle, left, until)
        for oldest in list(self.denied)[: max(0, len(self.denied) - MAX_DENIALS)]:
            self.denied.pop(oldest, None)

    def remove(self, ended: str) -> None:
        """Remove the denials for *ended*, the handle of a record or of an old cookie."""
        for handle, denial in list(self.denied.items()):
            if denial.ends == ended:
                self.denied.pop(handle, None)

    def pending(self, now: int, limit: int) -> list[Denial]:
        """Return up to *limit* denials, one for each record still to be removed; forget expired ones.

        Those that were tried least come first. So records that fail each time do not delay others.
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
