"""From genuine cookies to one session: several of them, and former names."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from fluidauth import CookieOptions
from fluidauth.events import Notice
from fluidauth.formats import tokens
from fluidauth.keys import Key
from fluidauth.records import SessionRecord
from fluidauth.rules.loading import admit, identify
from fluidauth.rules.policy import Policy
from fluidauth.rules.versions import first_version, new_body
from fluidauth.session.wish import Credential
from tests.formats.cookies import NAME, NOW, POLICY, SECOND, SECOND_ID, SECRET, SESSION_ID, TOKEN, policy_of

# -- two sessions in one request ---------------------------------------------------------------


def stored(policy: Policy, fields: dict[str, Any]) -> tuple[Credential, SessionRecord]:
    return first_version(policy, None, NOW, new_body(policy, fields, NOW), NOW)


def header_of(*credentials: Credential) -> str:
    key = Key(SECRET)
    return "; ".join(f"{NAME}={tokens.sign(key, c.session_id)}" for c in credentials)


def test_one_live_session_among_genuine_cookies_counts() -> None:
    """A cookie whose session is gone does not hide the one that lives."""
    (gone, _), (live, record) = stored(POLICY, {"a": 1}), stored(POLICY, {"b": 2})
    credentials, _ = identify(POLICY, header_of(gone, live))

    state, notices = admit(POLICY, credentials, [None, record], NOW)

    assert state.base == {"b": 2}
    assert notices == [Notice("cookie_rejected", "unknown_id", gone.handle)]


def test_two_live_sessions_make_a_request_anonymous() -> None:
    """One of them was planted, from a sibling host perhaps; nobody can say which."""
    (one, first), (two, second) = stored(POLICY, {"a": 1}), stored(POLICY, {"b": 2})
    credentials, _ = identify(POLICY, header_of(one, two))

    state, notices = admit(POLICY, credentials, [first, second], NOW)

    assert (state.record, state.base, state.credential) == (None, {}, None)
    assert notices == [Notice("ambiguous")]


@pytest.mark.requirement("25", "26")
def test_a_namespace_leads_to_another_handle() -> None:
    """The token of another application on the same store and secret opens nothing here."""
    here, _ = identify(POLICY, f"{NAME}={TOKEN}")
    there, _ = identify(policy_of(namespace="other"), f"{NAME}={TOKEN}")

    assert [here[0].session_id, there[0].session_id] == [SESSION_ID] * 2
    assert here[0].handle == "a2db133a0a71d6e360afea479c7e59b819b2ff850f6c1773de9b992a0e6e0a93"
    assert there[0].handle != here[0].handle


@pytest.mark.requirement("59")
def test_a_credential_shows_no_id() -> None:
    """It is a local of many frames; its repr is all that a reporter prints, and it is not pickled."""
    (credential,), _ = identify(POLICY, f"{NAME}={TOKEN}")

    assert repr(credential) == f"<Credential {NAME} kid={TOKEN[2:8]}>"
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(credential)


# -- former names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "cookies", "ids"),
    [
        (f"old={TOKEN}", ["old"], [SESSION_ID]),
        (f"{NAME}={TOKEN}", [NAME], [SESSION_ID]),
        (f"old={TOKEN}; {NAME}={TOKEN}", [NAME], [SESSION_ID]),
        (f"older={TOKEN}; old={TOKEN}", ["old"], [SESSION_ID]),
        (f"old={SECOND}; {NAME}={TOKEN}", [NAME, "old"], [SESSION_ID, SECOND_ID]),
        (f"Old={TOKEN}; olde={TOKEN}; ol={TOKEN}", [], []),
        (f"session={TOKEN}", [], []),
    ],
)
def test_former_names_are_read(header: str, cookies: list[str], ids: list[str]) -> None:
    """A renamed cookie logs nobody out; the name in use comes first and stands for the session."""
    credentials, notices = identify(policy_of(former_names=("old", "older")), header)

    assert [c.cookie for c in credentials] == cookies
    assert [c.session_id for c in credentials] == ids
    assert notices == []


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ("__Host-session",)),
        ("old", ("__Host-session", "old")),
        (["old", "older"], ("__Host-session", "old", "older")),
        (("__Host-session", "old"), ("__Host-session", "old")),
    ],
)
def test_names_in_the_order_they_are_looked_for(given: Any, names: tuple[str, ...]) -> None:
    """One former name may be given as text; the name in use is none of them."""
    assert CookieOptions(former_names=given).names == names
