"""What was used lately, up to a number of bytes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from fluidauth.secrecy import HoldsSecrets

K = TypeVar("K", bound=Hashable)
L = TypeVar("L")
V = TypeVar("V")

_PLACES = 1 << 12  # of a thousand keys that come in turns four in five are noted, of ten thousand one in ten
_MARK = (_PLACES << 7) - 1  # the bits of a hash that count: the place, and seven that are kept there
_TWICE = 128  # is added to those when a key comes again


class Recent(HoldsSecrets, Generic[L, K, V]):
    """Values by key, all of them good for one *label*, of at most *limit* bytes together.

    There are two dicts. When the younger one holds half of the limit, it becomes the older one, whose values
    are forgotten. So a hit writes nothing, and a value that is in use comes back when it is next asked for.

    Many keys come once in a while, and room for them costs more than it saves. So a caller may ask whether a
    key comes often. It is noted by a part of its hash, until other keys take that place.
    """

    __slots__ = ("_half", "_seen", "_size", "label", "older", "younger")

    def __init__(self, label: L, limit: int, seen: bytearray | None = None) -> None:
        self.label: L = label
        self.younger: dict[K, V] = {}
        self.older: dict[K, V] = {}
        self._half = limit // 2
        self._seen = seen or bytearray(_PLACES)
        self._size = 0  # bytes that were put into the younger one

    def find(self, key: K) -> V | None:
        """Return the value of *key*, if it is there."""
        return self.younger.get(key) or self.older.get(key)

    def comes_often(self, key: K) -> bool:
        """Note that *key* came; return whether it came twice before."""
        seen, mark = self._seen, hash(key) & _MARK
        place, once = mark >> 7, mark & 127 | 1
        found = seen[place]
        if found == once + _TWICE:
            return True
        seen[place] = once + _TWICE if found == once else once
        return False

    def put(self, key: K, value: V, size: int) -> None:
        """Keep *value*, of so many bytes, unless it would take a tenth of the limit."""
        if size > self._half // 5:
            return
        if self._size + size > self._half:
            self.older, self.younger, self._size = self.younger, {}, 0
        self.younger[key] = value
        self._size += size

    def drop(self, key: K) -> None:
        """Forget the value of *key*."""
        self.younger.pop(key, None)
        self.older.pop(key, None)

    def emptied(self, label: L) -> Recent[L, K, V]:
        """Return one for another *label*, without the values."""
        return Recent(label, self._half * 2, self._seen)

    def good_for(self, label: L) -> Recent[L, K, V]:
        """Return one with the same values under another *label*. This one must not be used any more."""
        other = self.emptied(label)
        other.younger, other.older, other._size = self.younger, self.older, self._size
        return other
