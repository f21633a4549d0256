"""Applications' own tests, by pytest and Django's runner: sessions in memory, none of a person's touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from fluidauth import SessionEngine, SQLiteStore, new_secret

ROOT = Path(__file__).parents[2]
Run = Callable[..., str]

FLASK_APP = """
from flask import Flask, session
from fluidauth.integrations.flask import FluidAuthSessionInterface

app = Flask(__name__)
app.secret_key = SECRET
app.session_interface = FluidAuthSessionInterface()

@app.get("/<user_id>")
def sign_in(user_id):
    session["_user_id"] = user_id
    return ""
"""
FLASK_TESTS = """
import pytest
from app import app

@pytest.mark.parametrize("n", [1, 2])
def test_each_finds_no_session(n):
    client = app.test_client()
    client.get("/1")
    engine = app.session_interface.engine_for(app)
    assert len(engine.list_sessions("1")) == 1
    print("kept in", engine.requests.store)
    assert engine.revoke_user("1") == 1
    client.get("/1")
"""
DJANGO_SETTINGS = """
SECRET_KEY = SECRET
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "fluidauth.integrations.django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
MIDDLEWARE = [
    "fluidauth.integrations.django.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SESSION_ENGINE = "fluidauth.integrations.django"
SESSION_COOKIE_HTTPONLY = SESSION_COOKIE_SECURE = True
FLUIDAUTH = {"store": "sqlite:///fluidauth.db"}
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
DJANGO_TESTS = """
from django.contrib.auth.models import User
from django.test import TestCase, override_settings
from fluidauth import MemoryStore
from fluidauth.integrations.django import get_engine

class Sessions(TestCase):
    def setUp(self):
        self.user = User.objects.create(pk=1, username="ada")

    def check(self):
        self.client.force_login(self.user)
        assert len(get_engine().list_sessions("1")) == 1
        print("kept in", get_engine().requests.store)
        assert get_engine().revoke_user("1") == 1
        self.client.force_login(self.user)

    def test_one(self):
        self.check()

    def test_two(self):
        self.check()

    def test_a_store_that_a_test_names_is_that_of_the_test(self):
        mine = MemoryStore()
        with override_settings(FLUIDAUTH={"store": mine}):
            assert get_engine().requests.store is mine
        assert get_engine().requests.store is not mine
"""
MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def real(tmp_path: Path, secret: str) -> SessionEngine:
    """The developer's own sessions: user 1 is signed in."""
    engine = SessionEngine(secret, SQLiteStore(tmp_path / "fluidauth.db"))
    engine.create_session("1")
    return engine


@pytest.fixture
def run(tmp_path: Path, secret: str) -> Run:
    """Writes files into a folder, and runs Python there."""

    def runs(*arguments: str, files: dict[str, str], **environ: str) -> str:
        for name, text in files.items():
            (tmp_path / name).write_text(text.replace("SECRET\n", f"{secret!r}\n"), encoding="utf-8")
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLUIDAUTH", "PYTEST"))
        }
        environ = {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environ}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return runs


PYTEST = ("-m", "pytest", "-q", "-s", "-p", "fluidauth.pytest_plugin", "-p", "no:cacheprovider")
FLASK = {"app.py": FLASK_APP, "test_app.py": FLASK_TESTS}
# As most projects have it: the application is imported before any test is known.
CONFTEST = """
from app import app
engine = app.session_interface.engine_for(app)
"""
DJANGO = {
    "settings.py": DJANGO_SETTINGS,
    "urls.py": "urlpatterns = []",
    "tests.py": DJANGO_TESTS,
    "manage.py": MANAGE,
}


def test_pytest_leaves_peoples_sessions_alone(run: Run, real: SessionEngine, tmp_path: Path) -> None:
    said = run(*PYTEST, files=FLASK, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert said.count("memory.MemoryStore") == 2
    assert len(real.list_sessions("1")) == 1


def test_an_engine_that_a_conftest_makes_is_that_of_the_tests(run: Run, real: SessionEngine) -> None:
    said = run(*PYTEST, files={**FLASK, "conftest.py": CONFTEST}, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert said.count("memory.MemoryStore") == 2
    assert len(real.list_sessions("1")) == 1


def test_pytest_leaves_no_file_behind(run: Run, tmp_path: Path) -> None:
    run(*PYTEST, files=FLASK, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.py", "test_app.py"]


@pytest.mark.requirement("69")
@pytest.mark.parametrize("kind", ["pytest", "django"])
@pytest.mark.parametrize("secret", ["dev", new_secret()], ids=["weak", "strong"])
def test_development_mode_leaves_no_file_behind(run: Run, tmp_path: Path, kind: str, secret: str) -> None:
    """Nor do Django's checks of the settings: secret and store are those of the tests, and end with them."""
    files, command = (FLASK, PYTEST) if kind == "pytest" else (DJANGO, ("manage.py", "test"))

    said = run(*command, files=files, FLUIDAUTH_DEVELOPMENT="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert said.count("memory.MemoryStore") == 2
    assert {path.name for path in tmp_path.iterdir()} == files.keys()


@pytest.mark.parametrize("order", [(), ("--parallel=2",), ("--reverse",)])
def test_djangos_runner_leaves_peoples_sessions_alone(
    run: Run, real: SessionEngine, order: tuple[str, ...]
) -> None:
    """Whatever the settings say where they are kept; each test finds none."""
    said = run("manage.py", "test", *order, files=DJANGO)

    assert "Ran 3 tests" in said
    assert len(real.list_sessions("1")) == 1
    if not order:
        assert said.count("memory.MemoryStore") == 2


def test_a_server_of_django_has_the_store_of_the_settings(run: Run, real: SessionEngine) -> None:
    """What tests have is for tests alone."""
    code = "from fluidauth.integrations.django import get_engine; print(len(get_engine().list_sessions('1')))"

    said = run("manage.py", "shell", "-v0", "-c", code, files=DJANGO)

    assert said.split()[-1] == "1"


def test_a_service_that_keeps_its_mail_in_memory_is_no_test(run: Run, real: SessionEngine) -> None:
    """Though an outbox appears with its first mail."""
    settings = f"""{DJANGO_SETTINGS}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["testserver"]
"""
    code = (
        "from django.core.mail import send_mail; from fluidauth.integrations.django import get_engine; "
        "send_mail('a', 'b', 'c@example.com', ['d@example.com']); print(len(get_engine().list_sessions('1')))"
    )

    said = run("manage.py", "shell", "-v0", "-c", code, files={**DJANGO, "settings.py": settings})

    assert said.split()[-1] == "1"


@pytest.mark.parametrize("kind", ["pytest", "django"])
def test_a_variable_names_another_store(run: Run, real: SessionEngine, tmp_path: Path, kind: str) -> None:
    """For tests with several processes; it is emptied as well."""
    place = str(tmp_path / "tests.db")
    if kind == "pytest":
        said = run(*PYTEST, files=FLASK, FLUIDAUTH_TEST_DATABASE=place, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    else:
        said = run("manage.py", "test", files=DJANGO, FLUIDAUTH_TEST_DATABASE=place)

    assert said.count("kept in <SQLiteStore") == 2
    assert "tests.db" in said
    assert len(real.list_sessions("1")) == 1


def test_pytest_finds_the_plugin_by_itself() -> None:
    [plugin] = entry_points(group="pytest11", name="fluidauth")

    assert plugin.load() is import_module("fluidauth.pytest_plugin")
