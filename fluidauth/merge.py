"""This request's changes, found by comparison, onto a newer version of the same session.

Changes to different fields all survive; of two to one field the later commit wins,
save for ``add`` and ``append``, which combine. Pure.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .errors import PayloadError
from .jsonvalues import check, encode
from .state import State


class Edits(NamedTuple):
    """What one request did to the fields of a session."""

    puts: dict[str, Any]
    removals: frozenset[str]
    additions: dict[str, tuple[str, list[Any]]]

    def __bool__(self) -> bool:
        return bool(self.puts or self.removals or self.additions)

    @property
    def names(self) -> set[str]:
        """The fields concerned."""
        return {*self.puts, *self.removals, *self.additions}


NO_EDITS = Edits({}, frozenset(), {})


def edits_of(state: State, fields: dict[str, Any]) -> Edits:
    """Return how *fields* differ from those that *state* was loaded with.

    Raise :class:`PayloadError`, with the path, for a value that is not JSON.
    """
    puts: dict[str, Any] = {}
    additions: dict[str, tuple[str, list[Any]]] = {}
    for name, value in dict.items(fields):
        if name not in state.texts and value is state.base.get(name, state):
            continue  # the very value that was loaded, and nobody held it
        check(value, f"session[{name!r}]")
        text = encode(value)
        if text == _text_before(state, name):
            continue
        noted = state.additions.get(name)
        if noted and text == _encode_or_none(_add_up(state.pristine(name), *noted)):
            additions[name] = noted
        else:
            puts[name] = value
    removals = {name for name in state.base if not dict.__contains__(fields, name)}
    if state.body is not None and not state.detached:
        removals |= state.body.unreadable() - state.unreadable - puts.keys()
    return Edits(puts, frozenset(removals), additions)


def apply(edits: Edits, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields*, those of a newer version, with *edits* made to them."""
    merged = {name: value for name, value in fields.items() if name not in edits.removals}
    merged.update(edits.puts)
    for name, (kind, amounts) in edits.additions.items():
        merged[name] = _add_up(merged.get(name), kind, amounts)
    return merged


def _text_before(state: State, name: str) -> str | None:
    if name in state.texts:
        return state.texts[name]
    return encode(state.base[name]) if name in state.base else None


def _add_up(value: Any, kind: str, amounts: list[Any]) -> Any:
    """Replay *amounts* on *value*; on one of another type they start from nothing.

    One by one, as the request did: floating-point sums depend on their order.
    """
    if kind == "append":
        return [*(value if isinstance(value, list) else []), *amounts]
    total = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    for amount in amounts:
        total += amount
    return total


def _encode_or_none(value: Any) -> str | None:
    try:
        return encode(value)
    except PayloadError:  # the sum overflowed to infinity
        return None
