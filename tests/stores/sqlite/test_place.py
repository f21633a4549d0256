"""Where a session file is to be: how a path may be given, and what becomes no file by mistake."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ConfigError, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.stores.urls import store_at

HOME = os.path.expanduser("~")

Giving = Callable[[Any], SQLiteStore]


def by_setting(given: Any) -> SQLiteStore:
    engine = SessionEngine(new_secret(), given)
    engine.close()
    assert isinstance(engine.requests.store, SQLiteStore)
    return engine.requests.store


def by_variable(given: Any) -> SQLiteStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUIDAUTH_DATABASE", str(given))
        return by_setting(None)


def by_hand(given: Any) -> SQLiteStore:
    return SQLiteStore(given)


@pytest.fixture(params=[by_setting, by_variable, by_hand], ids=["store=", "variable", "SQLiteStore"])
def giving(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Giving:
    monkeypatch.chdir(tmp_path)
    found: Giving = request.param
    return found


@pytest.mark.parametrize("form", ["s.db", "./s.db", "{}/s.db", "sqlite:///s.db", "sqlite:///{}/s.db"])
def test_a_path_and_a_url_are_taken_everywhere(form: str, giving: Giving, tmp_path: Path) -> None:
    """Whoever moves a setting from code to the environment writes the same."""
    assert giving(form.format(tmp_path)).path == tmp_path / "s.db"


@pytest.mark.parametrize("path", [Path("s.db"), Path.cwd() / "nowhere" / ".." / "s.db"])
def test_a_path_object_is_taken(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Django's settings write ``BASE_DIR / "sessions.db"``."""
    monkeypatch.chdir(tmp_path)
    given = path if not path.is_absolute() else tmp_path / "s.db"

    assert by_setting(given).path == by_hand(given).path == tmp_path / "s.db"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("~/s.db", f"path='~/s.db' begins with ~, which only a shell replaces; write {HOME}/s.db"),
        ("~", f"path='~' begins with ~, which only a shell replaces; write {HOME}"),
        (
            "~nobody-is-named/s.db",
            "path='~nobody-is-named/s.db' begins with ~, which only a shell replaces; write the folder out",
        ),
        ("$HOME/s.db", "path='$HOME/s.db' has '$H' in it, which only a shell replaces; write the path out"),
        (
            "/var/${APP}/s.db",
            "path='/var/${APP}/s.db' has '${' in it, which only a shell replaces; write the path out",
        ),
        ("$(pwd)/s.db", "path='$(pwd)/s.db' has '$(' in it, which only a shell replaces; write the path out"),
        ("`pwd`/s.db", "path='`pwd`/s.db' has '`' in it, which only a shell replaces; write the path out"),
        (
            "%APPDATA%/s.db",
            "path='%APPDATA%/s.db' has '%APPDATA%' in it, which only a shell replaces; write the path out",
        ),
        (
            r"C:\data\s.db",
            r"path='C:\\data\\s.db' is a path of Windows; write one of this system",
        ),
        (
            "C:/data/s.db",
            "path='C:/data/s.db' is a path of Windows; write one of this system",
        ),
        (
            r"\\server\data\s.db",
            r"path='\\\\server\\data\\s.db' is a path of Windows; write one of this system",
        ),
        ("data/", "path='data/' names a folder; name a file in it, as data/fluidauth.db"),
        ("a.db -> b.db", "'old -> new' takes two URLs, as sqlite:///old.db -> redis://host"),
        (
            "localhost:6379",
            "the path of a session file looks like a URL or an address; give a URL as text, to store=",
        ),
        (
            "redis:/u:hunter2@host",
            "the path of a session file looks like a URL or an address; give a URL as text, to store=",
        ),
    ],
    ids=repr,
)
def test_what_would_be_a_file_by_mistake_is_refused(
    given: str, message: str, giving: Giving, tmp_path: Path
) -> None:
    """Each by a sentence of its own, which says what to write; nothing is made."""
    with pytest.raises(ConfigError) as caught:
        giving(given)

    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["~/s.db", "$HOME/s.db", r"C:\data\s.db"])
def test_a_url_is_refused_as_its_path_is(given: str, giving: Giving, tmp_path: Path) -> None:
    """What stands behind ``sqlite:///`` is a path."""
    with pytest.raises(ConfigError, match=r"which only a shell replaces|is a path of Windows"):
        giving(f"sqlite:///{given}")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["redis", "postgresql", "sqlite", "memory"])
def test_the_name_of_a_kind_is_no_file(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes it means a server, and would have a file of that name."""
    monkeypatch.chdir(tmp_path)
    for giving in (by_setting, by_variable, store_at):
        with pytest.raises(ConfigError) as caught:
            giving(given)

        assert str(caught.value) == (
            f"{given!r} is no store URL; use sqlite:///path, postgresql://host/database, redis://host or memory://"
        )


@pytest.mark.parametrize("name", ["a$1~c.db", "~s.db", "100% sure.db", "$.db", "a:b.db"])
def test_other_names_are_names(name: str, giving: Giving, tmp_path: Path) -> None:
    """Only what a shell would have replaced, or another system have read, is refused."""
    assert giving(name).path == tmp_path / name


@pytest.mark.requirement("54")
def test_a_folder_is_told_as_one(giving: Giving, tmp_path: Path) -> None:
    """It had the advice to take its rights away."""
    folder = tmp_path / "data"
    folder.mkdir()

    with pytest.raises(ConfigError) as caught:
        giving(str(folder)).open()

    assert str(caught.value) == f"{folder} is a folder; name a file in it, as {folder}/fluidauth.db"


def test_a_link_to_nothing_and_a_pipe_are_told(giving: Giving, tmp_path: Path) -> None:
    """No database is made behind a link, and none is read from a pipe."""
    link, pipe = tmp_path / "link.db", tmp_path / "pipe.db"
    link.symlink_to(tmp_path / "gone" / "s.db")
    os.mkfifo(pipe)
    messages = []

    for path in (link, pipe):
        with pytest.raises(ConfigError) as caught:
            giving(str(path)).open()
        messages.append(str(caught.value))

    assert messages == [
        f"{link} is a link to nothing; remove it, or create its target",
        f"{pipe} is no regular file; choose another path",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "path=5 must be text or a Path"),
        (None, "path=None must be text or a Path"),
        (
            "sqlite:///s.db?durability=normal",
            "SQLiteStore takes the options of a URL as arguments, as durability='normal'",
        ),
        (
            "sqlite://host/s.db",
            "a sqlite store URL needs a path and no host: sqlite:///sessions.db, or "
            "sqlite:////var/sessions.db",
        ),
        ("sqlite://[", "the store URL is not one; use sqlite:///path"),
        (
            Path("redis://u:hunter2@host"),
            "the path of a session file looks like a URL or an address; give a URL as text, to store=",
        ),
    ],
    ids=repr,
)
def test_a_store_of_ones_own_is_as_strict(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SQLiteStore(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    "given",
    ["redis//:hunter2@h/0", "u:hunter2@h:6379/0", "host=h dbname=d password=hunter2", '"sessions.db"'],
)
def test_an_address_that_was_mistyped_is_no_file(given: str) -> None:
    """And what may be a password is not repeated."""
    with pytest.raises(ConfigError) as caught:
        SQLiteStore(given)

    assert "hunter2" not in str(caught.value)
