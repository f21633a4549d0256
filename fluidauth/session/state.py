"""What a loaded session remembers: where it came from, and what was asked of it since.

Plain values, without I/O or rules: ``Session`` writes them, ``lifecycle`` and ``merge``
read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NoReturn

from fluidauth.errors import PayloadError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.json_values import CONTAINERS, decode, encode
from fluidauth.records import Body, Lifetime, SessionRecord

_NOTHING: Mapping[str, Any] = MappingProxyType({})
AdditionKind = Literal["add", "append"]


class Credential:
    """A session id that a genuine cookie presented. Shows nothing of it."""

    __slots__ = ("cookie", "handle", "kid", "session_id")

    def __init__(self, cookie: str, session_id: str, kid: str, handle: str) -> None:
        self.cookie = cookie
        self.session_id = session_id
        self.kid = kid
        self.handle = handle

    def __repr__(self) -> str:
        return f"<Credential {self.cookie} kid={self.kid}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Credential cannot be pickled or copied: it holds a session id")


class Login(NamedTuple):
    """A sign-in that this request asked for, or that another system vouched for."""

    user_id: str | None
    """None where the application signed out whom its own fields named, and keeps others of them."""
    lifetime: Lifetime | None
    auth_time: int | None
    """None if nobody knows when it was."""


class Adoption(NamedTuple):
    """A session of another system, whose cookie this request presented. Shows nothing of it."""

    name: str
    """Of the other system."""
    cookie: CookieOptions
    value: str
    message: bytes
    """What the new id is derived from."""
    marker: str
    """The handle that says, once it is stored, that the old cookie was used."""
    until: int
    """Unix seconds: from then on no such cookie is genuine."""
    login: Login | None = None
    """The sign-in of the old session."""
    taken: bool = False
    """Whether it was taken over already, and only the cookie is to be sent again."""

    def __repr__(self) -> str:
        return f"<Adoption {self.name}>"


_NO_ADOPTIONS: list[Adoption] = []


class State:
    """A loaded session's origin in the store, and what this request asked for since.

    Most requests ask for nothing: the defaults are the class's, and never changed in place.
    """

    credential: Credential | None
    record: SessionRecord | None
    body: Body | None
    base: dict[str, Any]
    """The fields as loaded; containers are shared with the application."""
    barred: str | None = None
    """Why nothing but a login or logout may be kept: the id was replaced, or logged out."""
    others: tuple[Credential, ...] = ()
    """More that the request presented, live all: one was planted, so none counts."""
    gone: tuple[Credential, ...] = ()
    """All that the request presented, once a logout was asked for: it ends them, found or not."""
    texts: Mapping[str, str] = _NOTHING
    """The containers that the application was handed, as they were before that."""
    unreadable: frozenset[str] = frozenset()
    """Encrypted fields that could not be read and were neither removed nor replaced."""
    additions: Mapping[str, tuple[AdditionKind, list[Any]]] = _NOTHING
    modified = False
    """A mutator, login, logout or regenerate was called."""
    due = False
    """Whether a request that only reads owes a touch, a re-seal or a new signature."""
    ends = False
    detached = False
    """What was loaded belongs to somebody else, or has ended: carry none of it on."""
    login: Login | None = None
    renews = False
    adoption: Adoption | None = None
    formers: tuple[Adoption, ...] = ()
    """More sessions of former systems that the request presented, once a logout was asked for."""
    lifetime: Lifetime | None = None
    """The timeouts that the session is to have from this save on."""
    closed: str | None = None
    unsure = False
    """A save failed, and may have been carried out."""

    def __init__(
        self,
        credential: Credential | None = None,
        record: SessionRecord | None = None,
        body: Body | None = None,
    ) -> None:
        self.credential = credential
        self.record = record
        self.body = body
        # Asked of every session, up to three times; a default of the class is found twice as slowly.
        self.modified = self.due = False
        self.texts = _NOTHING
        if body is None:
            self.base = {}
        else:
            self.base = body.fields
            if body.locked:
                self.unreadable = body.unreadable()

    @property
    def signs_in(self) -> bool:
        """Whether this request asked for a sign-in, which an adopted one is not."""
        return self.login is not None and (self.adoption is None or self.login is not self.adoption.login)

    @property
    def old(self) -> list[Adoption]:
        """The sessions of former systems that the request presented, as far as they matter: each once."""
        if self.adoption is None and not self.formers:
            return _NO_ADOPTIONS  # as nearly always
        presented = (self.adoption, *self.formers)
        return list({each.marker: each for each in reversed(presented) if each is not None}.values())

    def watch(self, name: str, value: Any) -> None:
        """Note what the container *value* holds, before it is handed out and may change inside."""
        if isinstance(value, CONTAINERS) and name not in self.texts and self.base.get(name) is value:
            self.watch_as(name, encode(value))

    def watch_as(self, name: str, text: str) -> None:
        """Note that the container under *name* held *text*."""
        if not isinstance(self.texts, dict):  # the class's; in place, as many copies would be quadratic
            self.texts = {}
        self.texts[name] = text

    def note(self, name: str, kind: AdditionKind, amount: Any) -> None:
        """Note that *amount* was added to field *name*, or appended."""
        if not isinstance(self.additions, dict):
            self.additions = {}
        noted = self.additions.get(name)
        if noted and noted[0] == kind:
            noted[1].append(amount)
        else:
            self.additions[name] = (kind, [amount])

    def watch_all(self) -> None:
        """Watch every container: all fields are handed out, or references to them are about."""
        for name, value in self.base.items():
            self.watch(name, value)

    def forget(self) -> None:
        """Detach from what was loaded; later changes count from nothing."""
        self.base, self.texts, self.additions = {}, _NOTHING, _NOTHING
        self.unreadable = frozenset()
        self.login, self.lifetime, self.renews = None, None, False
        self.modified = self.detached = True

    def pristine(self, name: str) -> Any:
        """Return field *name* as loaded, untouched by changes inside of it."""
        return decode(self.texts[name]) if name in self.texts else self.base.get(name)

    def is_changed(self, fields: dict[str, Any]) -> bool:
        """Return whether *fields* may differ from those loaded. Never a false no.

        Without a mark only what lies inside a container that was handed out can have
        changed, or what was written behind the methods of ``Session``.
        """
        if self.modified or not dict.__eq__(fields, self.base):
            return True
        if not self.texts:
            return False
        try:
            for name, text in self.texts.items():
                if encode(self.base[name]) != text:
                    return True
        except PayloadError:  # merge.edits_of will say which value it is
            return True
        return False

    def close(self, reason: str) -> None:
        """Refuse changes from now on; *reason* ends the sentence that says so."""
        self.closed = reason
        self.ends = self.renews = self.modified = self.due = False
        self.login = self.lifetime = None

    def count_from(self, fields: dict[str, Any], texts: Mapping[str, str]) -> None:
        """Count changes from *fields* on: what was done to them before was stored, or told to be lost."""
        self.base, self.texts, self.additions = fields, {**self.texts, **texts}, _NOTHING

    def snapshot(self) -> State:
        """Return a copy that later requests do not change: what a save works from."""
        state = State.__new__(State)
        state.__dict__.update(self.__dict__)
        if self.texts:
            state.texts = dict(self.texts)
        if self.additions:
            state.additions = {name: (kind, [*amounts]) for name, (kind, amounts) in self.additions.items()}
        return state

    def only_its_end(self) -> State:
        """Return what remains of a failed request that logged out: the logout."""
        state = State(self.credential, self.record, self.body)
        state.barred, state.others, state.ends = self.barred, self.others, True
        state.gone, state.adoption, state.formers = self.gone, self.adoption, self.formers
        return state

    def carry_on(self, later: State, since: State) -> bool:
        """Ask what was asked of *later* after its snapshot *since*; return whether fields still belong.

        A logout or login by another user, while the save waited, left nothing of them.
        """
        if later.ends and not since.ends:
            self.forget()
            self.ends = True
        elif later.detached and not since.detached:
            self.forget()
        if later.login is not since.login:
            self.login, self.modified = later.login, True
        elif later.renews and not since.renews:
            self.renews = self.modified = True
        if later.lifetime is not since.lifetime:
            self.lifetime, self.modified = later.lifetime, True
        for name, (kind, amounts) in later.additions.items():
            noted, before = since.additions.get(name, (kind, []))
            if noted == kind:
                for amount in amounts[len(before) :]:
                    self.note(name, kind, amount)
        return not self.detached


def barred(credential: Credential, reason: str) -> State:
    """Return the state of a genuine cookie that opens nothing any more: ``replaced`` or ``ended``."""
    state = State(credential)
    state.barred = reason
    return state
