"""``session.clear()`` of somebody who is signed in is a logout, in whatever order the rest comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from fluidauth.integrations.django import get_engine
from tests.integrations.django.sites import MIDDLEWARE, Site, fields_of, name_of, put, sign_in, user


def clear(request: Any) -> None:
    request.session.clear()


def clear_read(request: Any) -> None:
    assert name_of(request) == "ada"
    request.session.clear()


def clear_and_save(request: Any) -> None:
    request.session.clear()
    request.session.save()


def clear_and_cycle(request: Any) -> None:
    request.session.clear()
    request.session.cycle_key()


def clear_and_asave(request: Any) -> None:
    request.session.clear()
    asyncio.run(request.session.asave())


CLEARS = (clear, clear_read, clear_and_save, clear_and_cycle, clear_and_asave)


@pytest.mark.requirement("4")
@pytest.mark.parametrize("middleware", MIDDLEWARE)
@pytest.mark.parametrize("how", CLEARS)
@pytest.mark.parametrize("then", [None, put(x=1), sign_in], ids=["nothing", "fields", "login"])
def test_cleared_session_signs_its_user_out(site: Site, how: Any, then: Any, middleware: str) -> None:
    """A copy of the cookie opens nothing; what follows in that request begins anew, with one cookie."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        site = type(site)()
        site.ask(sign_in)
        site.ask(put(cart=["tea"]))
        copied = site.twin()

        def handle(request: Any) -> None:
            how(request)
            if then:
                then(request)

        response = site.get(handle)

        assert response.status_code == 200
        assert list(response.cookies) == ["sessionid"] if then is not sign_in else ["csrftoken", "sessionid"]
        assert copied.ask(lambda request: [name_of(request), fields_of(request)]) == ["", {}]
        expected = {None: ["", {}], sign_in: ["ada", {}]}.get(then, ["", {"x": 1}])
        assert site.ask(lambda request: [name_of(request), fields_of(request)]) == expected
        assert len(get_engine().list_sessions(str(user().pk))) == (then is sign_in)
