"""A dict that fills itself at the first access, and reports each change.

C code can read a dict behind its methods' backs: ``json.dumps`` writes ``{}`` for any
subclass whose own storage is empty. So an unfilled one holds a single entry. Its key is
no string, and no encoder accepts its value. Code that calls methods fills the dict. Code
that does not call them fails with an error, and never sees an empty dict.
"""

from __future__ import annotations

import copy
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import Any, NoReturn

from fluidauth.formats.json_values import CONTAINERS, check, check_key, is_same

PLACEHOLDER: Any = object()


class LazyDict(dict[str, Any]):
    """Base of ``Session``, which begins with the placeholder as its only entry.

    Every public method of ``dict`` calls one of the hooks first.
    """

    __slots__ = ()

    # -- hooks -----------------------------------------------------------------

    def _read(self) -> object:
        """Fill the dict, unless it is filled."""
        raise NotImplementedError

    def _watch(self, key: str, value: Any) -> None:
        """Note that the container *value* is handed out, and may change inside."""

    def _watch_all(self) -> None:
        """Note that every value is handed out."""

    def _change(self) -> object:
        """Fill the dict and note that it changes; raise if it may not."""
        raise NotImplementedError

    def _note_set(self, key: str) -> None:
        """Note that the application sets *key*, whatever that held before."""

    def _explain_missing(self, key: object) -> None:
        """Raise an error that says more than KeyError about the missing *key*, if there is one."""

    def _remove_unreadable(self, key: str | None = None) -> bool:
        """Note that the unreadable field *key*, or each, is replaced or removed; return whether it was."""
        self._change()
        return False

    # -- reading ---------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        self._read()
        value = dict.__getitem__(self, key)
        if isinstance(value, CONTAINERS):
            self._watch(key, value)
        return value

    def __missing__(self, key: object) -> NoReturn:
        self._explain_missing(key)
        raise KeyError(key)

    def get(self, key: str, default: Any = None, /) -> Any:
        if key in self:
            return self[key]
        self._explain_missing(key)
        return default

    def __contains__(self, key: object) -> bool:
        self._read()
        return dict.__contains__(self, key)

    def __iter__(self) -> Iterator[str]:
        self._read()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[str]:
        self._read()
        return dict.__reversed__(self)

    def __len__(self) -> int:
        self._read()
        return dict.__len__(self)

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # dict_keys is not public
        self._read()
        return dict.keys(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]  # as above
        self._watch_all()
        return dict.values(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # as above
        self._watch_all()
        return dict.items(self)

    def __eq__(self, other: object) -> bool:
        self._read()
        return dict.__eq__(self, other.copy() if isinstance(other, LazyDict) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as every dict

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with the same values."""
        self._watch_all()
        return dict(dict.items(self))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a session cannot be pickled; pickle dict(session) instead")

    # -- changing --------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        check_key(key, "session")
        check(value, f"session[{key!r}]")
        self._remove_unreadable(key)
        if not isinstance(value, CONTAINERS) or dict.get(self, key) is not value:  # or it was changed inside
            self._note_set(key)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        if not self._remove_unreadable(key):
            dict.__delitem__(self, key)

    def clear(self) -> None:
        self._remove_unreadable()
        dict.clear(self)

    def pop(self, key: str, *default: Any) -> Any:
        self._change()
        if key in self:
            self._watch(key, dict.__getitem__(self, key))
        else:
            self._explain_missing(key)
        return dict.pop(self, key, *default)

    def popitem(self) -> tuple[str, Any]:
        self._watch_all()
        self._change()
        return dict.popitem(self)

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        if key not in self:
            self._explain_missing(key)
            self[key] = default
        return self[key]

    def update(self, *others: Any, **fields: Any) -> None:
        self._read()
        for key, value in dict(*others, **fields).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def become(self, fields: dict[str, Any]) -> None:
        """Take over *fields*, a plain dict that the application put in place of this one."""
        for name in self.keys() - fields.keys():
            del self[name]
        for name, value in fields.items():
            if name not in self or not is_same(dict.__getitem__(self, name), value):
                self[name] = value

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Any:
        """Return a plain dict: only the middleware makes sessions."""
        return dict.fromkeys(keys, value)
