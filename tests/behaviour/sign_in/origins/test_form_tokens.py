"""The token of a form, for browsers that do not say where a request comes from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import CrossOriginError
from fluidauth.keys import new_secret
from tests.behaviour.sign_in.asking import refused
from tests.handlers import log_in, put
from tests.support import Browser, Protocol


@pytest.mark.requirement("49")
def test_a_form_has_a_token(user: Browser) -> None:
    """Each page another one, all good for this session and no other."""
    tokens = {user.get(lambda session: session.csrf_token()) for _ in range(3)}
    other = user.with_cookie(None)
    other.request(log_in)

    assert len(tokens) == 3
    for token in tokens:
        assert refused(user, lambda session, token=token: session.check_csrf_token(token)) is None  # type: ignore[misc]
        assert (
            refused(other, lambda session, token=token: session.check_csrf_token(token)) is CrossOriginError  # type: ignore[misc]
        )


@pytest.mark.requirement("49")
@pytest.mark.parametrize(
    "renew", [Session.regenerate, log_in, Session.logout], ids=["regenerate", "login", "logout"]
)
def test_a_token_ends_with_the_id(user: Browser, renew: Any) -> None:
    """A token that was planted before the login is worth nothing after it."""
    token = user.get(lambda session: session.csrf_token())

    user.request(renew)

    assert refused(user, lambda session: session.check_csrf_token(token)) is CrossOriginError


@pytest.mark.requirement("49")
@pytest.mark.parametrize("renew", [None, Session.regenerate, log_in], ids=["new", "regenerate", "login"])
def test_a_token_of_the_page_that_renews(browser: Browser, renew: Any) -> None:
    """A visitor's first page, or the one after a login in the same request, has a token that counts."""

    def page(session: Session) -> str:
        if renew is not None:
            renew(session)
        return session.csrf_token()

    if renew is not None:
        browser.request(put(a=1))
    token = browser.get(page)

    assert refused(browser, lambda session: session.check_csrf_token(token)) is None


@pytest.mark.requirement("49")
def test_a_token_of_a_page_in_anothers_name(user: Browser) -> None:
    """Also of the page that begins it, and of the one that ends it."""
    tokens: list[str] = []

    def begins(session: Session) -> str:
        session.impersonate("ada", "ticket 7")
        return session.csrf_token()

    def ends(session: Session) -> str:
        session.end_impersonation()
        return session.csrf_token()

    for page in (begins, ends):
        tokens.append(user.get(page))
        assert refused(user, lambda session: session.check_csrf_token(tokens[-1])) is None

    assert refused(user, lambda session: session.check_csrf_token(tokens[0])) is CrossOriginError


@pytest.mark.requirement("49")
def test_a_rotation_is_noticed_by_no_form(protocol: Protocol) -> None:
    """A page that was opened before it can be sent after it, until the old key is revoked."""
    old, new, store = new_secret(), new_secret(), MemoryStore()
    before = Browser(protocol, SessionEngine(old, store))
    token = before.get(lambda session: session.csrf_token())
    after = Browser(protocol, SessionEngine([new, old], store))
    after.cookie = before.cookie

    assert refused(after, lambda session: session.check_csrf_token(token)) is None
    after.request(put(a=1))
    revoked = Browser(protocol, SessionEngine(new, store))
    revoked.cookie = after.cookie
    assert refused(revoked, lambda session: session.check_csrf_token(token)) is CrossOriginError


@given(
    st.one_of(
        st.none(), st.integers(), st.text(), st.binary(), st.text("abcdefgh.-_=", min_size=50, max_size=50)
    )
)
@pytest.mark.requirement("49")
def test_no_other_text_is_a_token(token: object) -> None:
    """Nothing raises but the refusal."""
    _SIGNED_IN.cookie = _COOKIE

    assert refused(_SIGNED_IN, lambda session: session.check_csrf_token(token)) is CrossOriginError


_SIGNED_IN = Browser("wsgi", SessionEngine(new_secret(), MemoryStore()))
_SIGNED_IN.request(log_in)
_COOKIE = _SIGNED_IN.cookie
