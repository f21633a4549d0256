"""Sessions of a former system, adopted one at a time when their cookies come in.

The id of the new session is derived from what the old cookie names, by a key of ours. So another request with
that cookie gets the same session, from a second tab or after a lost response. A marker in the store says that
the session was adopted, so that nothing brings it back after its end.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress

from fluidauth.adoption import Adopted, Adopter
from fluidauth.errors import NotEnded, PayloadError, RecordExists, StoreError
from fluidauth.events import Notice
from fluidauth.formats import tokens
from fluidauth.formats.cookies import MAX_HEADER_LENGTH, CookieSource, find_values, request_cookies
from fluidauth.formats.json_values import check
from fluidauth.formats.payloads import successor_of
from fluidauth.keys import Key
from fluidauth.records import (
    MAX_LIFETIME,
    Body,
    SessionRecord,
    Tombstone,
    check_user_id,
    handle_of,
    length_prefixed,
)
from fluidauth.rules.expiry import expiry_from
from fluidauth.rules.loading import admit, open_record
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome, SavePlan
from fluidauth.rules.versions import new_body
from fluidauth.session.state import State
from fluidauth.session.wish import Adoption, Credential, Login, Wish

from . import adoption_period, calls
from .end import end
from .lookup import check_time, deadline
from .marks import NOBODY
from .moments import end_others
from .new_id import create
from .runner import Steps
from .save import CLOSED, carry_out, merged


def candidates(adopters: Sequence[Adopter], source: CookieSource) -> Iterator[tuple[Adopter, str]]:
    """Yield the cookies in *source* that may be of a former system."""
    header = request_cookies(source)
    if len(header) > MAX_HEADER_LENGTH:
        return
    for adopter in adopters:
        for _, value in find_values(header, (adopter.cookie.name,)):
            if value:
                yield adopter, value


def resume(policy: Policy, adoption: Adoption, now: int) -> Steps[State | None]:
    """Return the state of a session that was adopted before, anonymous if it ended; None if it was not."""
    record = yield from calls.get(adoption.marker)
    if record is None:
        return None
    found = open_record(policy, record, adoption.marker, now)
    credential = _credential_of(policy, adoption, found) if isinstance(found, Tombstone) else None
    if credential is None:
        return State()
    state, _ = admit(policy, [credential], [(yield from calls.get(credential.handle))], now)
    if state.record is not None:  # the response that carried its cookie may be lost
        state.adoption, state.due = adoption._replace(taken=True), True
    return state


def _credential_of(policy: Policy, adoption: Adoption, marker: Tombstone) -> Credential | None:
    """Return what opens the session that *marker* leads to; None if it leads nowhere."""
    for key in policy.keyring.verifying_keys():
        session_id = _session_id(key, adoption, marker.nonce)
        if handle_of(policy.handle_prefix, session_id) == marker.successor:
            return Credential(adoption.cookie.name, session_id, key.kid, marker.successor)
    return None


def begin(adoption: Adoption, old: Adopted) -> State:
    """Return the state of a session to be adopted with the response to this request.

    Raise :class:`PayloadError` if it cannot be kept, ``TypeError`` or ``ValueError`` for a wrong user id.
    """
    check(old.fields, f"the session from {adoption.name}")
    state = State()
    state.base = old.fields
    state.due = True
    if old.user_id is not None:
        check_user_id(old.user_id)
        state.wish = Wish(login=Login(old.user_id, None, None))  # when they signed in is not known
    state.adoption = adoption._replace(login=state.wish.login)
    return state


def fits(policy: Policy, state: State, now: int) -> bool:
    """Return whether *state*, to be adopted, is within ``max_payload``: otherwise it can never be."""
    if state.adoption is not None:
        try:
            _first_version(policy, state.adoption, "", new_body(policy, state.base, now), now)
        except PayloadError:
            return False
    return True


def take_over(policy: Policy, plan: SavePlan) -> Steps[Outcome]:
    """Commit the changes of a request that came with old cookies."""
    state = plan.state
    adoption = state.adoption
    yield from _end_formers(policy, state, plan.now)  # first, because it must not be undone
    if adoption is None or adoption.taken:
        return (yield from carry_out(policy, plan))
    if state.wish.ends or state.signs_in or state.detached:
        yield from end_former(policy, adoption.marker, adoption.until, plan.now)
        outcome = yield from carry_out(policy, plan)
        outcome.cookie = outcome.cookie or "expire"
        return outcome
    body = new_body(policy, plan.fields, plan.now, state.wish.lifetime, None, state.notes)
    if state.wish.renews:
        if not (yield from end_former(policy, adoption.marker, adoption.until, plan.now)):
            return Outcome(closed=CLOSED["ended"])
        user_id = adoption.login and adoption.login.user_id
        outcome = yield from create(policy, user_id, body, plan.now, state.reserved)
        return (yield from _unless_revoked(policy, plan, outcome))
    return (yield from _store_taken(policy, plan, adoption, body))


def _store_taken(policy: Policy, plan: SavePlan, adoption: Adoption, body: Body) -> Steps[Outcome]:
    """Store the session of an old cookie, or change the one that another request has made from it.

    Each try has its own id. The marker is made once, and says which one counts. So a session that ended since
    is never made again.
    """
    if (yield from calls.get(adoption.marker)) is None:
        nonce = plan.state.reserved or secrets.token_hex(8)
        credential, record = _first_version(policy, adoption, nonce, body, plan.now)
        yield from calls.create(record)
        try:
            yield from calls.create(
                _marked(policy, adoption.marker, adoption.until, record.handle, plan.now, nonce)
            )
        except RecordExists:
            yield from calls.delete(record.handle)
        else:
            notice = Notice("session_adopted", adoption.name, record.handle, record.user_id)
            outcome = Outcome(record, body, credential, "issue", notices=[notice])
            return (yield from _unless_revoked(policy, plan, outcome))
    return (yield from _join(policy, plan, adoption))


def _unless_revoked(policy: Policy, plan: SavePlan, outcome: Outcome) -> Steps[Outcome]:
    """Return *outcome*, unless its user's sessions were ended since the request read the old one.

    If *plan* is to end all others of that user, do so.
    """
    record, since = outcome.record, plan.state.wish.alone_since
    if record is not None and (yield from _was_revoked(policy, record.user_id, plan.now)):
        yield from calls.delete(record.handle)
        return Outcome(closed=CLOSED["ended"])
    if since is not None:
        yield from end_others(policy, plan.state, outcome, since, plan.now)
    return outcome


def _end_formers(policy: Policy, state: State, now: int) -> Steps[None]:
    """End the other sessions that a logout presented."""
    for old in state.wish.formers:
        if state.adoption is None or old.marker != state.adoption.marker:
            yield from end_former(policy, old.marker, old.until, now)


def _was_revoked(policy: Policy, user_id: str | None, now: int) -> Steps[bool]:
    """Return whether all sessions, or the user's, were ended since this request read the old one."""
    if not (yield from adoption_period.begin(policy, now, False)):
        return True
    return user_id is not None and (yield from adoption_period.is_barred(policy, user_id, now))


def _join(policy: Policy, plan: SavePlan, adoption: Adoption) -> Steps[Outcome]:
    """Carry out *plan* on the session that another request has adopted meanwhile."""
    state = plan.state.snapshot()
    resumed = yield from resume(policy, adoption, plan.now)
    if resumed is None or resumed.record is None or resumed.body is None:
        return Outcome(closed=CLOSED["ended"])
    state.credential, state.record, state.body = resumed.credential, resumed.record, resumed.body
    state.wish, state.adoption = state.wish._replace(login=None), None
    fields = merged(plan, resumed.body.fields)
    return (yield from carry_out(policy, plan._replace(state=state, fields=fields, upgrades=True)))


def _marked(
    policy: Policy, marker: str, until: int, successor: str, made: int, nonce: str = "", version: int = 1
) -> SessionRecord:
    """Return the marker: it says that the old cookie was used, and leads to *successor*."""
    kid = policy.keyring.signing.kid
    record = SessionRecord(marker, None, made, until, version, kid, b"")
    return policy.sealer.seal(record, Tombstone(successor, "adopt", until, nonce))


def end_former(policy: Policy, marker: str, until: int, now: int) -> Steps[bool]:
    """Let the old cookie of *marker* open nothing up to *until*, and end the session adopted from it.

    Return whether it had not ended yet. Raise ``NotEnded`` if the store fails.
    """
    give_up = deadline()
    try:
        while True:
            record = yield from calls.get(marker)
            successor = None if record is None else successor_of(record)
            if record is None:
                with suppress(RecordExists):
                    yield from calls.create(_marked(policy, marker, until, NOBODY, now))
                    yield from calls.delete(marker, 0)  # no record has this version: it waits for replicas
                    return True
            elif successor == NOBODY:
                yield from calls.delete(marker, 0)
                return False
            elif successor is not None:
                lived = yield from end(policy, successor)  # before the marker says so, for another try
                following = _marked(
                    policy, marker, until, NOBODY, record.created_at, version=record.version + 1
                )
                if (yield from calls.update(following)):
                    yield from calls.delete(marker, 0)
                    yield from end(policy, successor)  # a request under way may have made it since
                    return lived
            check_time(give_up)
            yield from calls.pause()
    except NotEnded as error:
        raise NotEnded({**error.handles, marker: ""}) from error
    except StoreError as error:
        raise NotEnded({marker: ""}) from error


def _first_version(
    policy: Policy, adoption: Adoption, nonce: str, body: Body, now: int
) -> tuple[Credential, SessionRecord]:
    key = policy.keyring.signing
    session_id = _session_id(key, adoption, nonce)
    handle = handle_of(policy.handle_prefix, session_id)
    user_id = None if adoption.login is None else adoption.login.user_id
    record = SessionRecord(handle, user_id, now, expiry_from(body, now), 1, key.kid, b"")
    return Credential(policy.cookie.name, session_id, key.kid, handle), policy.sealer.seal(record, body)


def adoption_of(policy: Policy, adopter: Adopter, value: str, now: int) -> Adoption | None:
    """Return what is known of the old cookie *value*; None if it is forged."""
    identity = adopter.identity(value)
    if identity is None:
        return None
    message = length_prefixed(adopter.name.encode(), identity.encode("utf-8", "replace"))
    marker = handle_of(policy.handle_prefix, f"adopted {hashlib.sha256(message).hexdigest()}")
    until = now + min(adopter.lifetime, MAX_LIFETIME)
    return Adoption(adopter.name, adopter.cookie, value, message, marker, until)


def handle_to_be(policy: Policy, adoption: Adoption, nonce: str) -> str:
    """Return the handle of a session to be adopted with *nonce*."""
    return handle_of(policy.handle_prefix, _session_id(policy.keyring.signing, adoption, nonce))


def _session_id(key: Key, adoption: Adoption, nonce: str) -> str:
    return tokens.derived_session_id(key, adoption.message + nonce.encode("ascii", "replace"))
