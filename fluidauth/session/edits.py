"""This request's changes, found by comparison and applied to a newer version of the same session.

Changes to different fields all survive. If two requests change one field, the later save wins,
except for ``add`` and ``append``, which combine. Pure functions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fluidauth.errors import PayloadError
from fluidauth.formats.json_values import CONTAINERS, check, encode

from .state import State


class Edits(NamedTuple):
    """What one request did to the fields of a session."""

    puts: dict[str, Any]
    removals: frozenset[str]
    additions: dict[str, tuple[str, list[Any]]]
    texts: dict[str, str]
    """The containers that the application may hold, as they were then."""

    def __bool__(self) -> bool:
        return bool(self.puts or self.removals or self.additions)

    @property
    def names(self) -> set[str]:
        """The fields concerned."""
        return {*self.puts, *self.removals, *self.additions}


NO_EDITS = Edits({}, frozenset(), {}, {})
_PLAIN = frozenset((str, int, bool))


def edits_of(state: State, fields: dict[str, Any]) -> Edits:
    """Return how *fields* differ from those that *state* was loaded with.

    Raise :class:`PayloadError`, with the path, for a value that is not JSON.
    """
    puts: dict[str, Any] = {}
    additions: dict[str, tuple[str, list[Any]]] = {}
    texts: dict[str, str] = {}
    for name, value in dict.items(fields):
        before = state.base.get(name, state)
        if name not in state.texts and value is before:
            continue  # the object that was loaded, and it was never handed out
        check(value, f"session[{name!r}]")
        if type(value) in _PLAIN and type(before) in _PLAIN and name not in state.additions:
            if type(value) is not type(before) or value != before:
                puts[name] = value
            continue
        text = encode(value)
        if isinstance(value, CONTAINERS):
            texts[name] = text
        if text == _text_before(state, name):
            continue
        noted = state.additions.get(name)
        if noted and text == _encode_or_none(_add_up(state.pristine(name), *noted)):
            additions[name] = noted[0], [*noted[1]]  # the request may add more while this is saved
        else:
            puts[name] = value
    removals = state.base.keys() - dict.keys(fields)
    if state.body is not None and state.body.locked and not state.detached:
        removals |= state.body.unreadable() - state.unreadable - puts.keys()
    return Edits(puts, frozenset(removals), additions, texts)


def merge(edits: Edits, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields*, those of a newer version, with *edits* made to them."""
    merged = {name: value for name, value in fields.items() if name not in edits.removals}
    merged.update(edits.puts)
    for name, (kind, amounts) in edits.additions.items():
        merged[name] = _add_up(merged.get(name), kind, amounts)
    return merged


def bring_up_to_date(
    fields: dict[str, Any], saved: State, sent: dict[str, Any], texts: dict[str, str]
) -> None:
    """Bring *fields*, which the application holds, to what was *saved*.

    Values that others changed replace ours, inside of the containers that the application holds.
    Both *sent* and *texts* say what our fields were when the save began. What the application changed
    since then, while the save was waiting, stays. The next save finds it.
    """
    if texts:
        texts = {name: text for name, text in texts.items() if isinstance(sent.get(name), CONTAINERS)}
    # Three versions meet here. What we had when the save began is *sent*. What is stored now, with changes of
    # other requests, is *saved.base*. Another task of this request may have changed *fields* since.
    if saved.base is sent:  # nobody else changed anything
        saved.texts = texts
        saved.modified = bool(saved.additions)
        return
    absent = saved
    for name, value in saved.base.items():
        before = sent.get(name, absent)
        known = texts[name] if name in texts else None if before is absent else encode(before)
        if known == encode(value):
            if name in texts:
                saved.watch_as(name, texts[name])
        elif dict.get(fields, name, absent) is before:
            # Others changed it and this request did not. Without this line the next save would write the
            # old value back, as a change of this request.
            _take_in(fields, saved, name, value, texts.get(name))
    for name, (kind, amounts) in saved.additions.items():
        dict.__setitem__(fields, name, _add_up(saved.pristine(name), kind, amounts))
        saved.modified = True
    # Others removed these. One that this request has set again meanwhile is a change for the next save.
    for name in sent.keys() - saved.base.keys():
        if dict.get(fields, name, absent) is sent[name]:
            dict.__delitem__(fields, name)


def _take_in(fields: dict[str, Any], saved: State, name: str, value: Any, held_text: str | None) -> None:
    """Put the *value* of others under *name*, into the container that the application holds, if it holds one.

    *held_text* is what that held when the save began. If it changed since, the next save must find that.
    """
    if held_text is not None and isinstance(value, CONTAINERS):
        saved.watch_as(name, encode(value))
        held = dict.get(fields, name)
        if _encode_or_none(held) != held_text:
            return
        value = saved.base[name] = _refilled(held, value)
    dict.__setitem__(fields, name, value)


def _refilled(held: Any, value: Any) -> Any:
    """Return *value* in the containers of *held*: those under the same name, and in lists equal ones."""
    if isinstance(held, dict) and isinstance(value, dict):
        fresh = {name: _refilled(held.get(name), each) for name, each in value.items()}
        held.clear()
        held.update(fresh)
        return held
    if isinstance(held, list) and isinstance(value, list):
        same: dict[str, list[Any]] = {}
        for each in filter(_is_container, held):
            same.setdefault(encode(each), []).append(each)
        held[:] = [
            same[encode(each)].pop(0) if _is_container(each) and same.get(encode(each)) else each
            for each in value
        ]
        return held
    return value


def _is_container(value: Any) -> bool:
    return isinstance(value, CONTAINERS)


def _text_before(state: State, name: str) -> str | None:
    if name in state.texts:
        return state.texts[name]
    return encode(state.base[name]) if name in state.base else None


def _add_up(value: Any, kind: str, amounts: list[Any]) -> Any:
    """Replay *amounts* on *value*. If it has another type, they start from nothing.

    They are added one by one, as in the request: floating-point sums depend on their order.
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
