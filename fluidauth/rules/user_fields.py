"""Who is signed in, if an application says so in a field of the session, as Flask-Login does.

A change of that field is a login or a logout with all its effects. The session gets a new id, the old one
ends, and nothing of one user gets into the session of another. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fluidauth.errors import ConfigError, SessionClosed
from fluidauth.records import check_user_id
from fluidauth.session.edits import edits_of, merge
from fluidauth.session.state import State
from fluidauth.session.wish import NO_WISH, Login, Wish

from .policy import Policy, UserOf

UserKey = str | Sequence[str] | UserOf
"""The field that names the user, several fields of which the first counts, or a function of all fields."""

FLASK_LOGIN = "_user_id"  # where Flask-Login, and with it Flask-Security, keeps the user
_PROVEN = "fs_paa"  # Flask-Security: when the user last gave a password
_BROWSER = "_id"  # Flask-Login: a digest of the browser, without which session_protection signs out
_FRESH = "_fresh"  # Flask-Login: false if a remember-me cookie signed the user in, without a password

NO_HEAD = (
    "a login by a field needs a Set-Cookie header for the new id, but the response head was sent already; "
    "the session keeps the user it had"
)


TAKEN_BACK = Wish(renews=True)
"""A login by a field that was not stored yet, and is not wanted any more."""


class FieldsOfUser:
    """Finds the user in the named fields: text, or a whole number."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names: tuple[str, ...] = tuple(names)

    def is_silent(self, state: State, fields: dict[str, Any]) -> bool:
        """Return whether no field names a user, now or before, as in most requests."""
        for name in self.names:  # not by all(), which takes three times as long with a generator
            if name in state.base or dict.__contains__(fields, name):
                return False
        return not state.signs_in

    def __call__(self, fields: dict[str, Any]) -> str | None:
        for name in self.names:
            user_id = _user_id(name, fields.get(name))
            if user_id is not None:
                return user_id
        return None


def user_finder(user_key: UserKey | None) -> UserOf | None:
    """Return what finds the user by *user_key*, and by Flask-Login's field; None if no field says it.

    Raise :class:`ConfigError` if it is neither names nor a function.
    """
    if user_key is None:
        return None
    if callable(user_key):
        return first_of(user_key, FieldsOfUser((FLASK_LOGIN,)))
    names = (user_key,) if isinstance(user_key, str) else user_key
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(
            f"user_key={user_key!r} must be one or more field names, or a function from fields to an id"
        )
    return FieldsOfUser([*names, *({FLASK_LOGIN} - {*names})]) if names else None


def first_of(*finders: UserOf | None) -> UserOf | None:
    """Return a function that asks *finders* in turn, without those that are None."""
    found = [finder for finder in finders if finder is not None]
    if len(found) < 2:
        return found[0] if found else None

    def ask(fields: dict[str, Any]) -> str | None:
        return next((user_id for user_id in (user_in(each, fields) for each in found) if user_id), None)

    return ask


def user_in(user_of: UserOf, fields: dict[str, Any]) -> str | None:
    """Return the user that *fields* name; None if a function finds nothing to look into.

    Raise ``TypeError`` if that is no user id.
    """
    try:
        return _user_id(None, user_of(dict(dict.items(fields))))
    except LookupError:
        return None


def names_of_users(user_key: UserKey | None) -> tuple[str, ...]:
    """Return the fields that may name the user. A function can find one, but cannot say in which field."""
    if user_key is None:
        return ()
    named = () if callable(user_key) else (user_key,) if isinstance(user_key, str) else tuple(user_key)
    return (*named, *({FLASK_LOGIN} - {*named})) if named or callable(user_key) else ()


def fields_naming(names: Sequence[str], fields: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Return the field of *names* that names *user_id*, as *fields* name their user; none if none does."""
    for name in names:
        found = dict.get(fields, name)
        if found is None or found is False or found == "":
            continue
        named = {name: int(user_id) if isinstance(found, int) and user_id.isdecimal() else user_id}
        if name == FLASK_LOGIN and _BROWSER in fields:
            named[_BROWSER] = dict.__getitem__(fields, _BROWSER)
        return named
    return {}


def wish_by_fields(
    policy: Policy, state: State, fields: dict[str, Any], now: int, answerable: bool, keep: bool = True
) -> Wish:
    """Return the login or the end that the application asked for by changing *fields*.

    Of a request that fails only a logout is kept, as with :meth:`Session.logout`. Raise ``TypeError`` or
    ``ValueError`` for a wrong user id. Raise :class:`SessionClosed` for a login if no cookie can be sent.
    """
    user_of = policy.user_of
    asked = state.wish.login if state.signs_in else None
    if user_of is None or state.closed or (asked is not None and not asked.by_field):
        return NO_WISH
    user_id = user_in(user_of, fields)
    before = asked.user_id if asked is not None else user_before(policy, state)
    if user_id == before and not state.signed_in_anew:
        quiet = user_id is None or asked is not None or not (keep and answerable)
        return NO_WISH if quiet else _unchanged(str(user_id), state, fields, now)
    if user_id is None and before is None:
        return NO_WISH if state.user_id is None else Wish(ends=True)
    if user_id is None:
        return TAKEN_BACK if asked is not None and not state.detached else Wish(ends=True)
    if not keep:
        return NO_WISH
    if not answerable:
        raise SessionClosed(NO_HEAD)
    check_user_id(user_id)
    remembered = dict.get(fields, _FRESH) is False and dict.get(fields, FLASK_LOGIN) == user_id
    auth_time = None if remembered else now
    return Wish(login=Login(user_id, None, auth_time, by_field=True))


def user_before(policy: Policy, state: State) -> str | None:
    """Return the user that the loaded fields named."""
    return None if policy.user_of is None else user_in(policy.user_of, _pristine(state))


def _unchanged(user_id: str, state: State, fields: dict[str, Any], now: int) -> Wish:
    """Return what to do if the fields name *user_id* as before."""
    if state.user_id is None and state.adoption is None:
        # Stored before a field was configured as the user's. That is no login: its time is not known.
        return Wish(renews=True, named=user_id)
    proven = dict.get(fields, _PROVEN)
    if proven is not None and proven != state.base.get(_PROVEN) and state.user_id == user_id:
        return Wish(renews=True, confirmed_at=now)
    return NO_WISH


def own_fields(policy: Policy, state: State, fields: dict[str, Any], user_id: str | None) -> dict[str, Any]:
    """Return what this request itself put into *fields*: only this may go on under another user, or nobody.

    That is what it set, and what it appended to a list. It is nothing of a value that was changed inside,
    except for the field that names *user_id*.
    """
    edits = edits_of(state, fields)
    base = _pristine(state)
    tails = {name: _appended(base.get(name), value) for name, value in edits.puts.items()}
    kept = merge(edits._replace(puts={name: tail for name, tail in tails.items() if tail}), {})
    for name in state.written - edits.additions.keys():
        if dict.__contains__(fields, name):
            kept[name] = dict.__getitem__(fields, name)
    for name, value in dict.items(fields):
        if user_id is None or policy.user_of is None or user_in(policy.user_of, kept) == user_id:
            break
        if user_in(policy.user_of, {**kept, name: value}) == user_id:
            kept[name] = value
    return kept


def _appended(before: Any, value: Any) -> list[Any]:
    if isinstance(before, list) and isinstance(value, list) and value[: len(before)] == before:
        return value[len(before) :]
    return []


def _pristine(state: State) -> dict[str, Any]:
    return {name: state.pristine(name) for name in state.base}


def _user_id(name: str | None, value: Any) -> str | None:
    """Return *value*, of the field *name* or of a function, as a user id; None for nobody."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = "the function given as user_key returned" if name is None else f"session[{name!r}] holds"
    advice = "; give a function, such as user_key=lambda fields: fields['user']['id']" if name else ""
    raise TypeError(
        f"{found} {type(value).__name__}, but user_key says that it names the signed-in user, so it must be "
        f"text or a whole number{advice}"
    )
