"""All keys of one namespace. Redis returns them without order."""

from __future__ import annotations

from collections.abc import Callable

from fluidauth.errors import StoreError

from .routing import Routes, Steps
from .url import Place

_BATCH = 500  # keys looked at in one go


class Keyspace:
    """The keys on all servers that match *pattern*, each of which ends with a handle."""

    def __init__(self, routes: Routes, pattern: bytes) -> None:
        self._routes = routes
        self._pattern = pattern

    def walk(self, visit: Callable[[Place, list[bytes]], Steps[bool]]) -> Steps[None]:
        """Visit every key of a record, until a visit returns True."""
        for place in (yield from self._routes.primaries()):
            cursor: bytes | None = b"0"
            while cursor is not None:
                scan = ("SCAN", cursor, "MATCH", self._pattern, "COUNT", _BATCH)
                [reply] = yield from self._routes.at(place, scan)
                if isinstance(reply, Exception):
                    raise StoreError(f"Redis cannot list its keys: {reply}") from reply
                if reply[1] and (yield from visit(place, reply[1])):
                    return
                cursor = reply[0] if reply[0] != b"0" else None

    def lowest_handles(self, after: str, count: int) -> Steps[list[bytes]]:
        """Return the *count* lowest handles behind *after*, in order."""
        start, found = bytes.fromhex(after), set[bytes]()

        def visit(place: Place, keys: list[bytes]) -> Steps[bool]:
            nonlocal found
            found.update(handle for key in keys if (handle := key[-32:]) > start)
            if len(found) > 4 * count:
                found = set(sorted(found)[:count])
            return False
            yield  # steps that ask nothing

        yield from self.walk(visit)
        return sorted(found)[:count]
