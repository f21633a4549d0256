"""Django's settings and ours, and what is told of wrong ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from fluidauth import ConfigError, MemoryStore
from fluidauth.integrations.django import SessionStore
from fluidauth.integrations.django.checks import check_settings
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
