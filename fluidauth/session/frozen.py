"""Values of a session whose request has ended. They refuse changes, because nothing would save those.

For JSON, comparisons and copies they are a list and a dict.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fluidauth.errors import SessionClosed

OVER = "the request of this session has ended; use engine.edit(session.handle)"


def frozen(value: Any) -> Any:
    """Return a JSON *value* that refuses changes, also deep inside."""
    if isinstance(value, dict):
        return _FrozenDict({name: frozen(inner) for name, inner in value.items()})
    if isinstance(value, list | tuple):
        return _FrozenList([frozen(inner) for inner in value])
    return value


def _refuse(*_: object, **__: object) -> NoReturn:
    raise SessionClosed(OVER)


class _FrozenList(list[Any]):
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return list, ([*self],)  # a copy is a list like any other


class _FrozenDict(dict[str, Any]):
    __setitem__ = __delitem__ = __ior__ = _refuse
    pop = popitem = clear = update = setdefault = _refuse

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return dict, ({**self},)
