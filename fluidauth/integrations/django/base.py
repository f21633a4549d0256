"""A session as Django holds it, with the visit that found it: loaded, changed, merged.

``_session_key`` is what opened it, or will open it: a signed token, or a public key.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.signing import JSONSerializer

from fluidauth.engine.requests import Requests
from fluidauth.engine.visit import Visit
from fluidauth.errors import ConfigError
from fluidauth.formats.json_values import decode
from fluidauth.integrations import json_mirror
from fluidauth.operations import manage
from fluidauth.operations.lookup import Live, find_live
from fluidauth.operations.runner import Steps
from fluidauth.operations.save import CLOSED
from fluidauth.records import Lifetime, SessionRecord
from fluidauth.rules.saving import Outcome
from fluidauth.secrecy import HoldsSecrets
from fluidauth.session import Session
from fluidauth.session.state import State

from .adopters import user_in
from .configuration import get_engine
from .keys import handle_in, key_of
from .serving import amay_open, keys_open, may_open
from .states import loaded_state, remaining, token_of, untouched, visit_of_state
from .token_visit import DjangoVisit, TokenVisit

EXPIRY = "_session_expiry"  # where Django keeps what was given to ``set_expiry()``


class StoredSession(HoldsSecrets, SessionBase):  # type: ignore[misc]  # Django has no types
    """What a ``SessionStore`` knows of its session. Only its subclass asks the store, except to load."""

    session_key: str | None  # a property of Django's
    _session_key: str | None
    _visit: Visit | None = None
    """Knows what was found in the store, or put there."""
    _session_behind: Session | None = None
    _due = False
    """Whether to save it without a change: its key was rotated, or it was idle for long."""
    _modified = False
    _confirms = False
    """Whether the signed-in user authenticated again."""
    _methods: tuple[str, ...] = ()
    """How, if the application said so."""
    _alone = False
    """Whether all other sessions of the user are to end."""
    _left = False
    """Whether this request ended a session."""
    _failed = False
    """Whether the store failed the last time that it was asked for this session."""
    _was_ended = False
    """Whether this goes on empty, because another request ended the session."""
    _session_cache: dict[str, Any]
    _shares = False
    """Whether Django has the same dict of fields as the state, and may change it."""

    @property
    def modified(self) -> bool:
        """Whether this request changed the session, or should save it for another reason."""
        return self._modified or self._due

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = value

    # -- loading -----------------------------------------------------------------

    @property
    def _is_named(self) -> bool:
        """Whether this is under a public key. The module :mod:`.serving` says where that opens it."""
        return handle_in(self._session_key) is not None

    def _looked_up(self) -> Visit:
        """Return the visit of what the key opens. A session of a former engine is adopted at once."""
        requests, key = get_engine().requests, self._session_key
        if self._is_named and keys_open() and (handle := handle_in(key)) is not None:
            steps = manage.fetch(requests.policy, handle, requests.now())
            named = requests.perform(steps, "load")
            if named is not None and may_open(named.record):
                return visit_of_state(State(None, *named))
        visit = TokenVisit(requests, key or "")
        if visit.load().adoption is not None:
            visit.save(self._taking_over(visit))
        return visit

    async def _alooked_up(self) -> Visit:
        requests, key = get_engine().requests, self._session_key
        if self._is_named and keys_open() and (handle := handle_in(key)) is not None:
            steps = manage.fetch(requests.policy, handle, requests.now())
            named = await requests.aperform(steps, "load")
            if named is not None and await amay_open(named.record):
                return visit_of_state(State(None, *named))
        visit = TokenVisit(requests, key or "")
        if (await visit.aload()).adoption is not None:
            await visit.asave(self._taking_over(visit))
        return visit

    @property
    def _behind(self) -> Session | None:
        """The stored session. It is made when it is needed, as most requests only read fields."""
        visit = self._visit
        if self._session_behind is None and visit is not None:
            if self._shares and visit.state is not None:
                visit.state = untouched(visit.state)
            self._session_behind = Session(visit)
        return self._session_behind

    @property
    def _signed_in(self) -> tuple[str | None, int | None]:
        """The signed-in user, and since when. If this request changed the user in the fields, that counts."""
        behind, user_id = self._behind, user_in(self._session)
        visit = self._visit
        before = user_in(visit.state.base) if visit is not None and visit.state is not None else None
        if behind is not None and user_id == before:
            return behind.user_id, behind.auth_time
        return user_id, None if user_id is None else get_engine().requests.now()

    def _vouches_for(self, record: SessionRecord) -> bool:
        """Return whether a client with this session, read before, may see that of *record* as well."""
        if record.user_id is not None:
            return record.user_id == self._signed_in[0]
        return self._behind is not None and self._behind.handle == record.handle

    @property
    def _logs_in(self) -> bool:
        """Whether this request signed in another user than the stored session has."""
        behind, visit = self._behind, self._visit
        if behind is None or visit is None or visit.state is None:
            return False
        return user_in(self._session) not in (None, user_in(visit.state.base))

    def _loaded(self, visit: Visit) -> dict[str, Any]:
        state = loaded_state(visit)
        if state.record is None or state.body is None:
            if state.barred is None:  # the key of a replaced id stays: its successor's cookie must as well
                self._session_key = None
            return {}
        self._visit = visit
        self._due = state.due or state.wish.renews  # back from another user's name, whose time is over
        if self._modified and not self._is_named:
            self._session_key = token_of(state)
        # All that this serializer does is copy. If anything is saved, untouched() makes the copy.
        is_plain = not (
            state.body.locked or self._modified
        )  # an adopted one may have been encrypted just now
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

    def _beginning(self, requests: Requests) -> Steps[Outcome]:
        fields = self._json(self._get_session(no_load=True))
        user_id, since = user_in(fields), None
        if user_id is not None:
            visit = DjangoVisit(requests)
            refusal, since = visit.login_refusal(None), visit.begun()
            if refusal is not None:
                raise refusal
        alone = requests.moment() if self._alone else None
        how: Any = {"since": since, "methods": self._methods, "alone": alone}
        return manage.begin(requests.policy, user_id, fields, self._lifetime(), requests.now(), **how)

    def _settled(self) -> None:
        """Forget what the application said of the login, which is stored, or will be."""
        self._confirms, self._methods, self._alone = False, (), False

    def _created(self, requests: Requests, outcome: Outcome) -> None:
        requests.report(outcome.notices)
        if outcome.closed:
            raise UpdateError
        state = State(outcome.credential, outcome.record, outcome.body)
        self._visit, self._session_behind, self._shares = visit_of_state(state), None, False
        self._session_key = token_of(state)
        self._settled()
        self.modified = True

    def _changed(self, renews: bool) -> tuple[Visit, Session, dict[str, Any]]:
        """Return the changed session behind, and the fields. Raise ``UpdateError`` if it ended."""
        visit, behind = self._visit, self._behind
        if visit is None or behind is None or visit.state is None:
            raise UpdateError
        state = visit.state
        if state.record is None or state.closed:
            raise UpdateError
        fields = self._json(self._session)
        loaded, before = state.base, behind.user_id
        user_id = user_in(fields)
        if user_id == user_in(loaded):  # any other login, not by django.contrib.auth
            if self._confirms and before is not None:
                behind.confirm(self._methods)
            elif renews:
                behind.regenerate()
        elif user_id is None:
            behind.logout()
        else:
            behind.login(user_id, methods=self._methods)
            if before not in (None, user_id):  # another user's fields are not kept
                fields = {name: value for name, value in fields.items() if loaded.get(name) != value}
        if self._alone:
            behind.keep_only_this()
        self._settled()
        for name in dict.keys(behind) - fields.keys():
            json_mirror.remove(behind, name)
        for name, value in fields.items():
            json_mirror.put(behind, name, value)
        # Never nothing: only a write finds out that the id was replaced meanwhile. Django sends the cookie.
        touched = self._modified or renews or settings.SESSION_SAVE_EVERY_REQUEST
        behind.set_lifetime(self._lifetime() if touched else remaining(state))
        return visit, behind, fields

    def _saved(self, visit: Visit, behind: Session, fields: dict[str, Any]) -> bool:
        """Take over what was saved; return if anything is stored. Raise ``UpdateError`` if that failed."""
        state = loaded_state(visit)
        if state.closed:
            raise UpdateError
        self._due = False
        if state.record is None:  # without fields, which the engine does not keep
            return False
        self._session_key = key_of(state.record.handle) if self._is_named else token_of(state)
        json_mirror.refresh(self._session, behind, lambda name, value: fields[name], self._python)
        return True

    def _renewed(self) -> Steps[Live | str] | None:
        """Return the steps that find the session under its new id; None if it has none."""
        state, engine = None if self._visit is None else self._visit.state, get_engine()
        record = None if state is None else state.record
        if state is None or record is None or state.closed != CLOSED["followed"]:
            return None
        return find_live(engine.policy, record.handle, engine.requests.now())

    def _go_on(self, found: Live | str | None) -> None:
        """Go on with the session *found*, or else as nobody. Another response carries its cookie."""
        before = self._behind
        self._forget()
        if before is not None and isinstance(found, Live):
            self._visit = visit_of_state(State(None, *found))  # saves are merged there; no key is sent
            self._rebase(before, found.body.fields)
            return
        self._session_key, self._was_ended = None, True
        if before is not None:  # otherwise there are only this request's fields
            self._session_cache = {}

    def _rebase(self, before: Session, newer: dict[str, Any]) -> None:
        """Bring the fields to *newer* ones, merged with the changes made since *before*."""
        fields = self._json(self._session)
        merged = json_mirror.rebased(fields, dict(dict.items(before)), newer)
        json_mirror.refresh(self._session, merged, lambda name, value: fields[name], self._python)

    def _forget(self) -> None:
        self._visit = self._session_behind = None
        self._was_ended = self._shares = False

    def _check_begins(self) -> None:
        """Raise ``UpdateError`` if a session would begin instead of one that was ended."""
        if self._was_ended and user_in(self._session) is None:
            raise UpdateError

    def _lifetime(self) -> Lifetime:
        return self._lasting(self.get(EXPIRY))

    def _lasting(self, expiry: Any) -> Lifetime:
        """Return the lifetime of a session whose ``set_expiry()`` left *expiry*."""
        ours = get_engine().policy.lifetime
        lasts = max(1, min(int(self.get_expiry_age(expiry=expiry)), ours.absolute_seconds))
        ends_with_browser = settings.SESSION_EXPIRE_AT_BROWSER_CLOSE if expiry is None else expiry == 0
        return Lifetime(lasts, ours.idle, not ends_with_browser)

    def _taking_over(self, visit: Visit) -> Session:
        """Return a session of a former engine, to be stored here for the rest of its lifetime."""
        self._modified = True  # so that the new key is sent
        former = Session(visit)
        former.set_lifetime(self._lasting(former.get(EXPIRY)))
        return former
