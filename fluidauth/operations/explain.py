"""Why a request is in a session, or is not: a check of its cookie, step by step.

Nothing here shows a token or an id, or keeps one after its handle is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fluidauth.formats import client_tokens, tokens
from fluidauth.formats.cookies import MAX_CANDIDATES, MAX_HEADER_LENGTH, TOKEN_LENGTH, find_values, is_joined
from fluidauth.formats.payloads import sealed_by
from fluidauth.formats.request_head import RequestHead
from fluidauth.records import Body, SessionRecord, Tombstone, handle_of, moment
from fluidauth.rules.expiry import is_expired
from fluidauth.rules.loading import identify
from fluidauth.rules.origins import foreign
from fluidauth.rules.policy import Policy
from fluidauth.rules.verdicts import inspect

from . import calls
from .runner import Steps

_NAME = re.compile(r"[A-Za-z0-9_-]{1,30}")  # a session id, which has 32 characters, is not shown as a name
Headers = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
"""A mapping or pairs, in text or bytes; also a WSGI environ or the headers of an ASGI scope."""


Pairs = list[tuple[str, str]] | list[tuple[bytes, bytes]] | list[tuple[str, str] | tuple[bytes, bytes]]


class Remark(NamedTuple):
    """One thing that was checked, whether it was right, and what was found."""

    subject: str
    good: bool
    says: str


class Explanation(NamedTuple):
    """What a request's cookie opens, and why. Holds no secret."""

    opens: bool | None
    """Whether it opens a live session; None if the store was not asked."""
    reason: str
    """``live``, ``genuine`` (offline), ``no_cookie``, or what the request would log: the reason of
    ``cookie_rejected``, or else the event's name."""
    handle: str | None
    user_id: str | None
    remarks: tuple[Remark, ...]

    @property
    def signed_in(self) -> bool:
        """Whether the request comes from a user who logged in."""
        return bool(self.opens) and self.user_id is not None


class _Presented(NamedTuple):
    """What one cookie of our name is, without its value."""

    handle: str
    reason: str
    remarks: tuple[Remark, ...]


def explain(policy: Policy, headers: Headers, now: int, offline: bool = False) -> Steps[Explanation]:
    """Explain what the cookies in *headers* open at the time *now*; if *offline*, without the store."""
    remarks: list[Remark] = []
    try:
        pairs = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        token = _bearer_in(pairs)
        if token is not None and token.startswith(client_tokens.PREFIX) and policy.client_tokens:
            presented, reason = [_presented(policy, "", token)], ""
        else:
            presented, remarks, reason = _presented_in(policy, _cookie_text(pairs))
            remarks = [*_told_of(token), *_told_of_origin(policy, pairs), *remarks]
        del token, pairs
    finally:
        del headers  # a traceback that prints locals must not show it while the store fails
    return _explained(policy, presented, remarks, reason, now, offline)


def _explained(
    policy: Policy,
    presented: list[_Presented],
    remarks: list[Remark],
    reason: str,
    now: int,
    offline: bool,
) -> Steps[Explanation]:
    found: list[Explanation] = []
    for cookie in presented:
        about = Explanation(False, cookie.reason, cookie.handle or None, None, cookie.remarks)
        if cookie.handle and offline:
            about = about._replace(opens=None, reason="genuine")
        elif cookie.handle:
            record = yield from calls.get(cookie.handle)
            about = _opened(policy, about, record, now)
        found.append(about)
    if not found:
        return Explanation(False, reason, None, None, tuple(remarks))
    remarks += [remark for about in found for remark in about.remarks]
    live = [about for about in found if about.opens]
    if len({about.handle for about in live}) > 1:
        remarks.append(Remark("cookies", False, "they open two sessions: one was planted, so neither counts"))
        return Explanation(False, "ambiguous", None, None, tuple(remarks))
    genuine = [about for about in found if about.handle]
    return (live or genuine or found)[0]._replace(remarks=tuple(remarks))


# -- a header -----------------------------------------------------------------------------


def _bearer_in(pairs: Pairs) -> str | None:
    """Return the token of the only ``Authorization: Bearer`` in *pairs*, or an empty one if there are two."""
    names = ("authorization", "http_authorization")
    given = [_text(value).partition(" ") for name, value in pairs if _text(name).lower() in names]
    tokens = [token.strip(" \t") for scheme, _, token in given if scheme.lower() == "bearer"]
    return None if not tokens else tokens[0] if len(given) == 1 else client_tokens.PREFIX


def _told_of(token: str | None) -> list[Remark]:
    """Return the remarks on a token in the header that opens nothing."""
    if token is None or not token.startswith((client_tokens.PREFIX, "1.")):
        return []
    says = "a cookie's token opens nothing in a header; a client needs one of create_client_token()"
    if token.startswith(client_tokens.PREFIX):
        says = "a client's token, but this engine opens none: it has client_tokens=False"
    return [Remark("authorization", False, says)]


_BECOMES = {
    "block": "is refused",
    "report": "passes, as cross_origin='report'",
    "off": "passes, as cross_origin='off'",
}


def _told_of_origin(policy: Policy, pairs: Pairs) -> list[Remark]:
    """Return the remark on a request of another origin. Neither its method nor its path is known here."""
    headers = [
        (
            _text(name).lower().removeprefix("http_").replace("_", "-").encode("latin-1", "replace"),
            _text(value).encode("latin-1", "replace"),
        )
        for name, value in pairs
    ]
    head = RequestHead({"type": "http", "headers": headers})
    origin = foreign(head, policy.origins, policy.cookie.secure)
    if origin is None:
        return []
    says = f"{origin[:200]!a} is neither ours nor trusted; we see the Host {head.host[:200]!a}"
    return [Remark("origin", False, f"{says}. What may change something {_BECOMES[policy.origins.mode]}")]


# -- the cookie ----------------------------------------------------------------------------


def _cookie_text(pairs: Pairs) -> str:
    texts = [_text(value) for name, value in pairs if _text(name).lower() in ("cookie", "http_cookie")]
    return "; ".join(texts)


def _text(given: object) -> str:
    return given.decode("latin-1") if isinstance(given, bytes) else given if isinstance(given, str) else ""


def _presented_in(policy: Policy, header: str) -> tuple[list[_Presented], list[Remark], str]:
    """Return the cookies of our name in *header*; if none counts, remarks and the reason why."""
    names = " or ".join(policy.cookie_names)
    values = find_values(header, policy.cookie_names)
    says = {
        "too_long": f"the header has more than {MAX_HEADER_LENGTH} characters",
        "too_many": f"{len(values)} of our name; at most {MAX_CANDIDATES} are read",
    }
    for notice in identify(policy, header)[1]:  # it has the rule
        if notice.reason in says:
            return [], [Remark("cookie", False, says[notice.reason])], notice.reason
    if not values:
        found = {pair.partition("=")[0].strip(" \t") for pair in header.split(";") if "=" in pair}
        others = sorted(name for name in found if _NAME.fullmatch(name))
        seen = f"; it has {', '.join(others[:10])}" if others else ""
        if is_joined(header, policy.cookie_names):  # it may be part of another cookie's value
            seen = ", but one after a comma: Cookie headers must be joined by semicolons"
        return [], [Remark("cookie", False, f"the request has none named {names}{seen}")], "no_cookie"
    presented = {_presented(policy, name, token): None for name, token in values}
    return list(presented), [], ""


def _presented(policy: Policy, name: str, token: str) -> _Presented:
    """Return what *token* is: in the cookie *name*, or without a name in the header."""
    keyring = policy.keyring
    remarks = [Remark("cookie", True, f"found as {name}")] if name else [_IN_HEADER]
    verified = (tokens if name else client_tokens).verify(keyring, token)
    if verified == "malformed":
        says = _malformation(token) if name else "cut or changed, or one of several headers"
        remarks.append(Remark("form", False, says))
        return _Presented("", verified, tuple(remarks))
    remarks.append(Remark("form", True, "version 1"))
    key = token[2:8] if name else token[6:12]
    kid = ascii(key)[1:-1]
    state = keyring.state_of(key)
    known = f": the keyring has {', '.join(keyring.kids)}" if state == "unknown" else ""
    remarks.append(Remark("key", state not in ("unknown", "revoked"), f"{kid} is {state}{known}"))
    if isinstance(verified, tuple):
        remarks.append(Remark("signature", True, "genuine"))
        return _Presented(handle_of(policy.handle_prefix, verified[0]), "", tuple(remarks))
    if verified == "bad_mac":
        remarks.append(Remark("signature", False, "is wrong: the cookie was changed on the way, or forged"))
    return _Presented("", verified, tuple(remarks))


_IN_HEADER = Remark("authorization", True, "has a client's token, so cookies do not count")


def _malformation(token: str) -> str:
    if len(token) != TOKEN_LENGTH:
        return f"has {len(token)} characters, not {TOKEN_LENGTH}: cut, quoted or another application's"
    if token[:2] != "1.":
        return "its version is not 1"
    return "is not of the form version.key.id.signature"


# -- the record ----------------------------------------------------------------------------


def _opened(policy: Policy, about: Explanation, record: SessionRecord | None, now: int) -> Explanation:
    """Return *about* with what the store's *record* adds."""
    remarks = list(about.remarks)
    if record is None:
        remarks.append(Remark("record", False, "none: logged out, expired and cleaned, or in another store"))
        return about._replace(reason="unknown_id", remarks=tuple(remarks))
    if record.handle != about.handle:
        remarks.append(Remark("record", False, "the store answered with another session's"))
        return about._replace(reason="record_tampered", remarks=tuple(remarks))
    remarks.append(
        Remark("record", True, f"version {record.version}, created {moment(record.created_at)} UTC")
    )
    found = inspect(policy, record, now)
    sealed = found.content is not None
    remarks.append(Remark("seal", sealed, f"genuine, by key {sealed_by(record)}" if sealed else found.detail))
    if isinstance(found.content, Tombstone):
        remarks.append(Remark("tombstone", False, found.detail))
        reason = "replaced" if now < found.content.deadline else "unknown_id"
        return about._replace(reason=reason, remarks=tuple(remarks))
    if not isinstance(found.content, Body):
        return about._replace(reason="record_tampered", remarks=tuple(remarks))
    opens = found.verdict in ("live", "undecryptable", "revoked")  # this cookie is genuine
    remarks.append(Remark("expiry", opens, _expiry(record, found.content, found.detail if not opens else "")))
    if found.verdict == "undecryptable":
        remarks.append(Remark("fields", False, found.detail))
    expired = is_expired(record, found.content, now)
    reason = "live" if opens else "session_expired" if expired else "clock_skew"
    return about._replace(opens=opens, reason=reason, user_id=record.user_id, remarks=tuple(remarks))


def _expiry(record: SessionRecord, body: Body, problem: str) -> str:
    idle = "" if body.idle is None else f", idle limit {body.idle} s"
    until, latest = moment(min(record.expires_at, body.deadline)), moment(body.deadline)
    return f"{problem or 'live'}: until {until} UTC unless used, {latest} UTC at the latest{idle}"
