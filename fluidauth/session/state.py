"""What was found of a session, what was done with it, and what is wished: plain values, no I/O, no rules."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from fluidauth.errors import PayloadError
from fluidauth.formats.json_values import CONTAINERS, decode, encode
from fluidauth.records import Body, SessionRecord

from .notes import NO_NOTES, Acting, NoteChange, Notes, acting_in, acts, of_another_login, proven
from .wish import NO_WISH, Adoption, Credential, Wish

_NOTHING: Mapping[str, Any] = MappingProxyType({})
AdditionKind = Literal["add", "append"]
_NO_ADOPTIONS: list[Adoption] = []


class State:
    """One session of one request: what was found, what was done to its fields, and what is wished.

    Most requests only read, so the defaults belong to the class. They are never changed in place.
    """

    # -- found --
    credential: Credential | None
    record: SessionRecord | None
    body: Body | None
    base: dict[str, Any]
    """The fields as loaded; containers are shared with the application."""
    barred: str | None = None
    """Why nothing but a login or logout may be kept: the id was replaced, or logged out."""
    others: tuple[Credential, ...] = ()
    """More live sessions that the request presented. One may have been planted, so none counts."""
    adoption: Adoption | None = None
    reserved: str | None = None
    """The id of a session that begins, if it was drawn before the session is stored."""
    acting: Acting | None = None
    """Who acts here in the name of the user."""
    parent: tuple[SessionRecord, Body] | None = None
    """The own session of who acts here."""
    counts: bool | None = None
    """Whether the request is activity, as the application says."""
    due: bool = False
    """Whether a request that only reads still needs a touch, a re-seal or a new signature."""
    # -- done --
    texts: Mapping[str, str] = _NOTHING
    """The containers that were handed to the application, as they were before that."""
    unreadable: frozenset[str] = frozenset()
    """Encrypted fields that could not be read and were neither removed nor replaced."""
    additions: Mapping[str, tuple[AdditionKind, list[Any]]] = _NOTHING
    modified: bool = False
    """A mutator, login, logout or regenerate was called."""
    detached: bool = False
    """What was loaded belongs to somebody else, or has ended: keep none of it."""
    closed: str | None = None
    """Why changes are refused from now on."""
    unsure = False
    """A save failed, and may have been carried out."""
    written: frozenset[str] | set[str] = frozenset()
    """The fields that the application set, whatever they held before."""
    signed_in_anew = False
    """The application said that its user signed in, whatever the fields say."""
    # -- wished --
    wish: Wish = NO_WISH

    def __init__(
        self,
        credential: Credential | None = None,
        record: SessionRecord | None = None,
        body: Body | None = None,
    ) -> None:
        self.credential = credential
        self.record = record
        self.body = body
        # Read in every session, up to three times. A default of the class takes twice as long to find.
        self.modified = self.due = False
        self.texts = _NOTHING
        if body is None:
            self.base = {}
        else:
            self.base = body.fields
            if body.notes:
                self.acting = acting_in(body.notes)
            if body.locked:
                self.unreadable = body.unreadable()

    @property
    def signs_in(self) -> bool:
        """Whether this request asked for a login. An adopted login does not count."""
        login = self.wish.login
        return login is not None and (self.adoption is None or login is not self.adoption.login)

    @property
    def user_id(self) -> str | None:
        """The user who is signed in, or will be after the save."""
        if self.wish.login is not None:
            return self.wish.login.user_id
        if self.wish.named is not None:
            return self.wish.named
        return self.record.user_id if self.record is not None and not self.detached else None

    @property
    def auth_time(self) -> int | None:
        """When that user signed in, in Unix seconds; None if nobody knows."""
        if self.wish.login is not None:
            return self.wish.login.auth_time
        if self.wish.confirmed_at is not None:
            return self.wish.confirmed_at
        return self.body.auth_time if self.body is not None and not self.detached else None

    @property
    def notes(self) -> Notes:
        """What the engine notes, with all changes so far."""
        return self.noted_on(self.body.notes if self.body is not None and not self.detached else NO_NOTES)

    def noted_on(self, notes: Notes) -> Notes:
        """Return *notes*, as another request may have left them, with all changes of this one."""
        login = self.wish.login
        if login is not None:
            notes = acts(login.acting) if login.acting else of_another_login(notes)
            notes = proven(login.methods, login.auth_time or 0, notes)
        for change in self.wish.notes:
            notes = change(notes)
        return notes

    def note_change(self, change: NoteChange) -> None:
        """Have the next save make *change* to the engine's notes."""
        self.ask(notes=(*self.wish.notes, change))

    @property
    def stored(self) -> SessionRecord | None:
        """The record of this session; None until it is stored under its final id."""
        return None if self.detached or self.wish.login is not None else self.record

    @property
    def old(self) -> list[Adoption]:
        """The sessions of former systems that the request presented and that matter, each once."""
        formers = self.wish.formers
        if self.adoption is None and not formers:
            return _NO_ADOPTIONS  # as nearly always
        presented = (self.adoption, *formers)
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

    def note_set(self, name: str) -> None:
        """Note that the application set field *name*."""
        if not isinstance(self.written, set):
            self.written = set()
        self.written.add(name)

    def watch_all(self) -> None:
        """Watch every container, because all fields or references to them are handed out."""
        for name, value in self.base.items():
            self.watch(name, value)

    def detach(self) -> None:
        """Detach from what was loaded; later changes count from nothing."""
        self.base, self.texts, self.additions = {}, _NOTHING, _NOTHING
        self.unreadable = frozenset()
        self.wish = self.wish.only_end()
        self.modified = self.detached = True

    def ask(self, **wishes: Any) -> None:
        """Add *wishes*, as ``Wish`` names them, to what the next save is to do."""
        self.wish = self.wish._replace(**wishes)
        self.modified = True

    def leave_later(self) -> None:
        """Leave the way back from another's name to a request whose response can carry the new id."""
        self.wish = self.wish._replace(renews=False, leaves=None)

    def drop_unreadable(self, name: str | None) -> bool:
        """Note that the unreadable field *name*, or each, is replaced or removed; return whether it was."""
        known = name is None or name in self.unreadable
        self.unreadable = frozenset() if name is None else self.unreadable - {name}
        return known

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
        except PayloadError:  # edits_of will say which value it is
            return True
        return False

    def refuse_changes(self, reason: str) -> None:
        """Refuse changes from now on; *reason* ends the sentence that says so."""
        self.closed = reason
        self.modified = self.due = False
        self.wish = NO_WISH

    def count_from(self, fields: dict[str, Any], texts: Mapping[str, str]) -> None:
        """Count changes from *fields* on. Earlier changes were stored, or reported as lost."""
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
        state.barred, state.others, state.adoption = self.barred, self.others, self.adoption
        state.acting, state.parent = self.acting, self.parent
        state.wish = self.wish.only_end()
        return state

    def carry_on(self, later: State, since: State) -> bool:
        """Take over what was done and wished between *since*, when a save began, and *later*, now.

        Return whether the fields still belong to this session: not after a logout or another user's login.
        """
        wish, before = later.wish, since.wish
        self.counts = later.counts
        if wish.ends and not before.ends:
            self.detach()
            self.wish = wish.only_end(before)
        elif later.detached and not since.detached:
            self.detach()
        self._ask_again(wish, before)
        for name, (kind, amounts) in later.additions.items():
            noted, counted = since.additions.get(name, (kind, []))
            if noted == kind:
                for amount in amounts[len(counted) :]:
                    self.note(name, kind, amount)
        return not self.detached

    def _ask_again(self, wish: Wish, before: Wish) -> None:
        """Add what was wished since *before*: the next save must not repeat what this one carried out."""
        if wish.login is not before.login:
            self.ask(login=wish.login)
        elif (wish.renews and not before.renews) or wish.confirmed_at != before.confirmed_at:
            self.ask(renews=True, confirmed_at=wish.confirmed_at)
        if wish.alone_since != before.alone_since:
            self.ask(alone_since=wish.alone_since)
        if wish.lifetime is not before.lifetime:
            self.ask(lifetime=wish.lifetime)
        if wish.notes != before.notes:
            known = len(before.notes) if wish.notes[: len(before.notes)] == before.notes else 0
            self.ask(notes=wish.notes[known:])


def back_to_own(state: State, parent: tuple[SessionRecord, Body]) -> State:
    """Return the state of the own session of who acts in *state*. It gets a new id, and *state* ends."""
    own = State(state.credential, *parent)
    if state.record is not None and state.acting is not None:
        own.ask(renews=True, leaves=(state.record, state.acting))
    return own


def barred(credential: Credential, reason: str) -> State:
    """Return the state of a genuine cookie that opens nothing any more: ``replaced`` or ``ended``."""
    state = State(credential)
    state.barred = reason
    return state
