"""Django's settings and ours, and what is told of wrong ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import override_settings

from fluidauth import ConfigError, MemoryStore
from fluidauth.integrations.django import SessionStore, get_engine
from fluidauth.integrations.django.checks import check_settings
from fluidauth.integrations.django.middleware import SessionMiddleware
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret


def ids() -> list[str]:
    return [str(found.id) for found in check_settings()]


def test_good_settings_pass_the_checks() -> None:
    assert ids() == []
    call_command("check", verbosity=0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": "django-insecure-" + "x" * 50}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"stores": "sqlite:///x"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": ["store"]}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"secret": new_secret(), "keyring": "keys.json"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": MemoryStore(), "idle_timeout": 0}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": "sqlite:////nowhere/at/all.db"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": MemoryStore(), "on_event": "no.such.module"}}, "fluidauth.E001"),
        ({"SESSION_SERIALIZER": "tests.integrations.django.test_settings.Pickling"}, "fluidauth.E003"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "fluidauth.W001"),
    ],
)
def test_bad_settings_are_told(changes: dict[str, Any], expected: str) -> None:
    with override_settings(**{"FLUIDAUTH": {"store": MemoryStore()}, **changes}):
        assert ids() == [expected]


def test_a_store_may_be_a_path(tmp_path: Path) -> None:
    """``BASE_DIR / "sessions.db"``, as Django's own settings name a database."""
    with override_settings(FLUIDAUTH={"store": tmp_path / "s.db"}):
        assert ids() == []

    assert (tmp_path / "s.db").is_file()


OTHERS = django_settings.MIDDLEWARE[1:]
KEEPERS = ["allauth.usersessions", "hitcount", "admin_honeypot", "djangocms_history"]


def messages(*installed: str, **changes: Any) -> list[Any]:
    """Return what is told where *installed*, which need not be there, are in ``INSTALLED_APPS``."""
    names = [*django_settings.INSTALLED_APPS, *installed]
    with isolated(names), override_settings(**changes):
        return check_settings()


@contextmanager
def isolated(names: list[str]) -> Iterator[None]:
    """Let the settings alone name these applications: they are not installed here."""
    before = django_settings.INSTALLED_APPS
    django_settings.INSTALLED_APPS = names
    try:
        yield
    finally:
        django_settings.INSTALLED_APPS = before


class Own(SessionMiddleware):
    """A subclass is as good."""


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (["fluidauth.integrations.django.middleware.SessionMiddleware"], []),
        ([f"{__name__}.Own"], []),
        (["django.contrib.sessions.middleware.SessionMiddleware"], ["fluidauth.W002"]),
        (["no.such.middleware"], ["fluidauth.W002"]),
        (["nosuchmiddleware"], ["fluidauth.W002"]),
        ([], ["fluidauth.W002"]),
    ],
)
def test_a_missing_middleware_is_told_with_what_it_costs(first: list[str], expected: list[str]) -> None:
    told = messages(MIDDLEWARE=[*first, *OTHERS])

    assert [found.id for found in told] == expected
    for found in told:
        assert "66 characters" in found.msg
        assert "503" in found.msg
        assert "'fluidauth.integrations.django.middleware.SessionMiddleware'" in found.hint


@pytest.mark.parametrize("name", KEEPERS)
@pytest.mark.parametrize("suffix", ["", ".apps.Config"])
def test_packages_that_keep_tokens_are_told(name: str, suffix: str) -> None:
    """Under our middleware what they keep is a public key, and all is well."""
    djangos = ["django.contrib.sessions.middleware.SessionMiddleware", *OTHERS]

    assert messages(name + suffix) == []
    told = messages(name + suffix, MIDDLEWARE=djangos)

    assert [found.id for found in told] == ["fluidauth.W002", "fluidauth.W003"]
    assert told[1].msg.startswith(f"{name} keeps session_key")
    assert "MIDDLEWARE" in told[1].hint


def test_apps_of_allauth_that_send_the_key_back_are_told() -> None:
    """It opens nothing there; browsers have a cookie."""
    djangos = ["django.contrib.sessions.middleware.SessionMiddleware", *OTHERS]

    assert [found.id for found in messages("allauth.headless")] == ["fluidauth.W004"]
    assert messages("allauth.headless", HEADLESS_CLIENTS=("browser",)) == []
    assert [found.id for found in messages("allauth.headless", MIDDLEWARE=djangos)] == ["fluidauth.W002"]


def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").write_text("no database, but a text of some length " * 40)
    with override_settings(FLUIDAUTH={"store": f"sqlite:///{tmp_path}/sessions.db"}):
        assert ids() == ["fluidauth.E002"]


class Pickling:
    def dumps(self, value: Any) -> bytes:
        return b"\x80" + repr(value).encode()

    def loads(self, data: bytes) -> Any:
        raise NotImplementedError


def test_a_serializer_that_writes_no_json_is_refused() -> None:
    with override_settings(SESSION_SERIALIZER="tests.integrations.django.test_settings.Pickling"):
        session = SessionStore()
        session["n"] = 1
        with pytest.raises(ConfigError, match="Pickling"):
            session.save()


@pytest.mark.parametrize("by_path", [False, True])
def test_a_keyring_file_signs(tmp_path: Path, by_path: bool) -> None:
    """Whatever ``SECRET_KEY`` is; and a function, or the path of one, hears of events."""
    path, heard = tmp_path / "keys.json", len(EVENTS)
    keyfile.change(path, lambda empty: empty.added(new_secret(), int(time.time())))
    on_event = "tests.integrations.django.test_settings.note" if by_path else note
    options = {"store": MemoryStore(), "keyring": str(path), "on_event": on_event}
    with override_settings(FLUIDAUTH=options, SECRET_KEY="weak"):
        session = SessionStore()
        session["n"] = 1
        session.save()

        assert dict(SessionStore(session.session_key).items()) == {"n": 1}
    assert [event.name for event in EVENTS[heard:]] == ["session_created"]


EVENTS: list[Any] = []


def note(event: Any) -> None:
    EVENTS.append(event)


@pytest.mark.parametrize(
    ("setting", "value", "option", "seen"),
    [
        ("SECURE", True, "secure", True),
        ("SECURE", False, "secure", False),
        ("HTTPONLY", False, "http_only", False),
        ("SAMESITE", "Strict", "same_site", "strict"),
        ("DOMAIN", "example.com", "domain", "example.com"),
        ("SAMESITE", "None", "same_site", "lax"),  # which browsers refuse, as it is not Secure
    ],
)
def test_commands_see_the_cookie_as_django_sends_it(setting: str, value: Any, option: str, seen: Any) -> None:
    """So that `fluidauth doctor` warns of what is unsafe."""
    options: dict[str, Any] = {f"SESSION_COOKIE_{setting}": value, "FLUIDAUTH": {"store": MemoryStore()}}
    with override_settings(**options):
        assert getattr(get_engine().policy.cookie, option) == seen
