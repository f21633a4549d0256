"""The session as Django knows it, over a :class:`~fluidauth.Session`.

``session_key`` is what the cookie carries, a signed token: Django's middleware, its test client and
Channels all make a store of the cookie's value. Nothing that is stored opens a session.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.signing import JSONSerializer

from fluidauth.engine import SessionEngine
from fluidauth.engine.requests import SessionGateway
from fluidauth.errors import ConfigError
from fluidauth.events import Notice
from fluidauth.formats.json_values import decode
from fluidauth.formats.payloads import plain_fields
from fluidauth.integrations import json_mirror
from fluidauth.operations import manage
from fluidauth.operations.lookup import Live, find_live
from fluidauth.operations.runner import Steps
from fluidauth.operations.save import CLOSED
from fluidauth.records import Lifetime
from fluidauth.rules.loading import identify
from fluidauth.rules.saving import Outcome
from fluidauth.rules.versions import issue
from fluidauth.secrecy import HoldsSecrets
from fluidauth.session import Session
from fluidauth.session.state import State

from .adopters import AUTH_USER
from .asking import asks_store
from .configuration import get_engine


class SessionStore(HoldsSecrets, SessionBase):  # type: ignore[misc]  # Django has no types
    """A session of Django's contract, whole: concurrent changes are merged and a logout is final.

    Saving a session that was ended, or renewed, by another request raises ``UpdateError``, which Django
    answers with 400. A failing store raises ``StoreError``; the cookie is left alone.
    """

    session_key: str | None
    _session_key: str | None
    _state: State | None = None
    """What was found in the store, or put there."""
    _session_behind: Session | None = None
    _due = False
    """Whether it should be saved though nobody changed it: its key was rotated, or it was idle long."""
    _modified = False
    _failed = False
    """Whether the store failed, the last time that it was asked for this session."""
    _was_ended = False
    """Whether this goes on empty in the place of a session that another request ended."""
    _shares = False
    """Whether Django has the very fields of ``_state``, which it may change."""

    # -- Django's contract -------------------------------------------------------

    @property
    def modified(self) -> bool:
        """Whether this request changed the session, or should save it for another reason."""
        return self._modified or self._due

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = value

    @asks_store
    def exists(self, session_key: str | None) -> bool:
        """Return whether *session_key* opens a live session."""
        engine = get_engine()
        handle = _handle(engine, session_key)
        return handle is not None and engine.get_session(handle) is not None

    @asks_store
    async def aexists(self, session_key: str | None) -> bool:
        engine = get_engine()
        handle = _handle(engine, session_key)
        return handle is not None and await engine.aget_session(handle) is not None

    @asks_store
    def load(self) -> dict[str, Any]:
        return self._loaded(self._look_up())

    @asks_store
    async def aload(self) -> dict[str, Any]:
        return self._loaded(await self._alook_up())

    @asks_store
    def create(self) -> None:
        """Store a new session with this one's fields; its key is always fresh."""
        gateway = get_engine().gateway
        self._created(gateway, gateway.perform(self._beginning(gateway), "create"))
        if self.get_expiry_age() <= 0:
            self.delete()

    @asks_store
    async def acreate(self) -> None:
        gateway = get_engine().gateway
        self._created(gateway, await gateway.aperform(self._beginning(gateway), "create"))
        if self.get_expiry_age() <= 0:
            await self.adelete()

    @asks_store
    def save(self, must_create: bool = False) -> None:
        """Save the session; raise ``UpdateError`` if it was ended meanwhile."""
        if must_create or self.session_key is None:
            self._check_begins()
            self.create()
            return
        self._get_session()
        if self._state is None and self.session_key is not None:  # it was cleared, never read
            self._state = self._look_up()
        self._save(renews=False)

    @asks_store
    async def asave(self, must_create: bool = False) -> None:
        if must_create or self.session_key is None:
            self._check_begins()
            await self.acreate()
            return
        await self._aget_session()
        if self._state is None and self.session_key is not None:  # as above
            self._state = await self._alook_up()
        await self._asave(renews=False)

    @asks_store
    def delete(self, session_key: str | None = None) -> None:
        """End the session under *session_key*, by default this one, for good."""
        engine, key = get_engine(), session_key or self.session_key
        handle = _handle(engine, key)
        if handle is not None:
            ended = engine.gateway.perform(manage.delete(engine.policy, handle), "revoke")
            self._deleted(engine, handle, ended)
        elif key and (state := engine.gateway.look_up(key)).adoption is not None:
            former = _session_of(state)
            former.logout()
            engine.gateway.save(former)

    @asks_store
    async def adelete(self, session_key: str | None = None) -> None:
        engine, key = get_engine(), session_key or self.session_key
        handle = _handle(engine, key)
        if handle is not None:
            ended = await engine.gateway.aperform(manage.delete(engine.policy, handle), "revoke")
            self._deleted(engine, handle, ended)
        elif key and (state := await engine.gateway.alook_up(key)).adoption is not None:
            former = _session_of(state)
            former.logout()
            await engine.gateway.asave(former)

    @asks_store
    def cycle_key(self) -> None:
        """Give the session a new key with the same data; the old one is dead at once.

        One that was ended meanwhile goes on empty and anonymous: only a login stores it. One that another
        request gave a new key goes on there.
        """
        self._get_session()
        self.modified = True
        if self._behind is None and self.session_key is None:
            self.create()  # nothing was stored yet
            return
        if self._state is None and not self._was_ended:  # it was cleared, never read
            self._state = self._look_up()
        try:
            self._save(renews=True)
        except UpdateError:
            steps = self._renewed()
            self._go_on(None if steps is None else get_engine().gateway.perform(steps, "load"))

    @asks_store
    async def acycle_key(self) -> None:
        await self._aget_session()
        self.modified = True
        if self._behind is None and self.session_key is None:
            await self.acreate()  # as above
            return
        if self._state is None and not self._was_ended:  # as above
            self._state = await self._alook_up()
        try:
            await self._asave(renews=True)
        except UpdateError:
            steps = self._renewed()
            self._go_on(None if steps is None else await get_engine().gateway.aperform(steps, "load"))

    def flush(self) -> None:
        super().flush()
        self._forget()

    async def aflush(self) -> None:
        await super().aflush()
        self._forget()

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what has expired; ``manage.py clearsessions`` calls it."""
        get_engine().clean()

    @classmethod
    async def aclear_expired(cls) -> None:
        await get_engine().aclean()

    # -- beyond it ---------------------------------------------------------------

    @property
    def user_id(self) -> str | None:
        """The user signed in, as ``list_sessions`` and ``revoke_user`` of the engine know him."""
        self._get_session()
        return None if self._behind is None else self._behind.user_id

    @property
    def handle(self) -> str | None:
        """What names this session in the store and in administrative calls; it opens nothing."""
        self._get_session()
        return None if self._behind is None else self._behind.handle

    # -- loading -----------------------------------------------------------------

    def _look_up(self) -> State:
        """Return what the key opens; a session of a former engine is taken over at once."""
        gateway = get_engine().gateway
        state = gateway.look_up(self.session_key or "")
        if state.adoption is None:
            return state
        taken = _session_of(state)
        gateway.save(taken)
        self._modified = True  # so that the new key is sent
        return taken._read()

    async def _alook_up(self) -> State:
        gateway = get_engine().gateway
        state = await gateway.alook_up(self.session_key or "")
        if state.adoption is None:
            return state
        taken = _session_of(state)
        await gateway.asave(taken)
        self._modified = True  # as above
        return taken._read()

    @property
    def _behind(self) -> Session | None:
        """The stored session; made when it is asked for, as most requests only read fields."""
        if self._session_behind is None and self._state is not None:
            self._session_behind = _session_of(_untouched(self._state) if self._shares else self._state)
        return self._session_behind

    def _loaded(self, state: State) -> dict[str, Any]:
        if state.record is None or state.body is None:
            if state.barred is None:  # of a replaced id the key stays: its successor's cookie must as well
                self._session_key = None
            return {}
        self._state = state
        self._due = state.due
        if self._modified:
            self._session_key = _token(state)
        # All that this serializer does is copy; _untouched makes up for it, where anything is saved at all.
        is_plain = not (state.body.locked or self._modified)  # one taken over was maybe just encrypted
        self._shares = is_plain and self.serializer is JSONSerializer
        if self._shares:
            return state.base
        fields: dict[str, Any] = self._python(state.base)
        return fields

    def _python(self, value: Any) -> Any:
        return self.serializer().loads(json.dumps(value).encode("ascii"))

    def _json(self, value: Any) -> Any:
        """Return *value* as JSON, by SESSION_SERIALIZER; raise ``TypeError`` as that does."""
        try:
            return decode(self.serializer().dumps(value).decode("utf-8"))
        except ValueError as error:
            raise ConfigError(f"SESSION_SERIALIZER={settings.SESSION_SERIALIZER!r} writes no JSON") from error

    # -- saving ------------------------------------------------------------------

    def _beginning(self, gateway: SessionGateway) -> Steps[Outcome]:
        fields = self._json(self._get_session(no_load=True))
        return manage.begin(gateway.policy, _user_of(fields), fields, self._lifetime(), gateway.now())

    def _created(self, gateway: SessionGateway, outcome: Outcome) -> None:
        gateway.report(outcome.notices)
        self._state = State(outcome.credential, outcome.record, outcome.body)
        self._session_behind, self._shares = None, False
        self._session_key = _token(self._state)
        self.modified = True

    def _save(self, renews: bool) -> None:
        if self.get_expiry_age() <= 0:
            self.delete()
            return
        behind, fields = self._changed(renews)
        gateway = get_engine().gateway
        changes = gateway.changes(behind)
        if changes is not None:
            gateway.commit(behind, changes)
        if not self._saved(behind, fields):
            self.create()

    async def _asave(self, renews: bool) -> None:
        if self.get_expiry_age() <= 0:
            await self.adelete()
            return
        behind, fields = self._changed(renews)
        gateway = get_engine().gateway
        changes = gateway.changes(behind)
        if changes is not None:
            await gateway.acommit(behind, changes)
        if not self._saved(behind, fields):
            await self.acreate()

    def _changed(self, renews: bool) -> tuple[Session, dict[str, Any]]:
        """Return the session behind as changed, and the fields; raise ``UpdateError`` if it ended."""
        behind = self._behind
        if behind is None or behind._read().record is None or behind._read().closed:
            raise UpdateError
        fields = self._json(self._session)
        loaded, before = behind._read().base, behind.user_id
        user_id = _user_of(fields)
        if user_id == _user_of(loaded):  # whoever signed in, if not by django.contrib.auth
            if renews:
                behind.regenerate()
        elif user_id is None:
            behind.logout()
        else:
            behind.login(user_id)
            if before not in (None, user_id):  # what was another user's is not carried on
                fields = {name: value for name, value in fields.items() if loaded.get(name) != value}
        for name in dict.keys(behind) - fields.keys():
            json_mirror.remove(behind, name)
        for name, value in fields.items():
            json_mirror.put(behind, name, value)
        # Never nothing: only a write tells that the id was replaced meanwhile, and Django sends the cookie.
        touched = self._modified or renews or settings.SESSION_SAVE_EVERY_REQUEST
        behind.set_lifetime(self._lifetime() if touched else _remaining(behind))
        return behind, fields

    def _saved(self, behind: Session, fields: dict[str, Any]) -> bool:
        """Take over what was saved; say if anything is stored. Raise ``UpdateError`` if it could not be."""
        state = behind._read()
        if state.closed:
            raise UpdateError
        self._due = False
        if state.record is None:  # without fields, which the engine does not keep
            return False
        self._session_key = _token(state)
        json_mirror.refresh(self._session, behind, lambda name, value: fields[name], self._python)
        return True

    def _renewed(self) -> Steps[Live | str] | None:
        """Return the steps to where the session lives on under a new id; None if it does not."""
        state, engine = State() if self._behind is None else self._behind._read(), get_engine()
        record = state.record
        if record is None or state.closed != CLOSED["followed"]:
            return None
        return find_live(engine.policy, record.handle, engine.gateway.now())

    def _go_on(self, found: Live | str | None) -> None:
        """Go on with the session *found*, whose cookie another response carries, else as nobody."""
        before = self._behind
        self._forget()
        if before is not None and isinstance(found, Live):
            self._state = State(None, *found)  # what is saved is merged there, and no key is known to send
            self._rebase(before, found.body.fields)
            return
        self._session_key, self._was_ended = None, True
        if before is not None:  # else all there is are this request's own fields
            self._session_cache: dict[str, Any] = {}

    def _rebase(self, before: Session, newer: dict[str, Any]) -> None:
        """Bring the fields to *newer* ones, with what was changed since *before* was merged into those."""
        fields = self._json(self._session)
        merged = json_mirror.rebased(fields, dict(dict.items(before)), newer)
        json_mirror.refresh(self._session, merged, lambda name, value: fields[name], self._python)

    def _forget(self) -> None:
        self._state = self._session_behind = None
        self._was_ended = self._shares = False

    def _check_begins(self) -> None:
        """Raise ``UpdateError`` where a session would begin in the place of one that was ended."""
        if self._was_ended and _user_of(self._session) is None:
            raise UpdateError

    def _lifetime(self) -> Lifetime:
        ours = get_engine().policy.lifetime
        lasts = max(1, min(int(self.get_expiry_age()), ours.absolute_seconds))
        return Lifetime(lasts, ours.idle, not self.get_expire_at_browser_close())

    def _deleted(self, engine: SessionEngine, handle: str, ended: bool) -> None:
        if ended:
            engine.gateway.report([Notice("session_logout", None, handle)])


def _handle(engine: SessionEngine, session_key: str | None) -> str | None:
    """Return what *session_key* opens, if it is genuine."""
    found, notices = identify(engine.policy, f"{engine.policy.cookie.name}={session_key}")
    engine.gateway.report(notices)
    return found[0].handle if found else None


def _user_of(fields: dict[str, Any]) -> str | None:
    user_id = fields.get(AUTH_USER)
    return None if user_id is None else str(user_id)


def _session_of(state: State) -> Session:
    session = Session(get_engine().gateway)
    session._prefetched = state
    session._read()
    return session


def _untouched(state: State) -> State:
    """Return *state* with its fields as stored, none encrypted: Django may have changed those that it has."""
    if state.record is None or state.body is None:
        return state
    found = state.snapshot()
    found.base = plain_fields(state.record)
    found.body = state.body._replace(fields=found.base)
    return found


def _token(state: State) -> str:
    """Return what the cookie is to carry, under the key that it is to be signed by."""
    if state.record is None or state.credential is None:
        raise UpdateError
    return issue(get_engine().policy, state.record, state.credential.session_id)


def _remaining(session: Session) -> Lifetime:
    """Return the lifetime that *session* has left."""
    body = session._read().body
    if body is None:
        raise UpdateError
    left = body.deadline - get_engine().gateway.now()
    return Lifetime(max(1, left), body.idle, body.persistent)
