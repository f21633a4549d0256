"""`make demo`, as one runs it: the tour, and the page of SERVE=1 over its real servers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import httpx
import psutil
import pytest

from harness import ROOT

DEMO = ROOT / "examples" / "demo.py"


class Demo:
    """A browser at the page: it keeps the cookie, and sends what a browser sends with a press of a button."""

    def __init__(self, page: str) -> None:
        self.http = httpx.Client(base_url=page, trust_env=False, timeout=60)
        self.origin = {"Origin": page}
        self.said = ""

    def press(self, button: str) -> Any:
        """Return what the page shows once *button* was pressed."""
        answer = self.http.post(button, headers=self.origin).raise_for_status().json()
        self.said = answer["says"]
        return answer["state"]

    def state(self) -> Any:
        return self.http.get("/state").raise_for_status().json()["state"]

    @property
    def users(self) -> list[str | None]:
        """Who is signed in, by either server."""
        return [server["user"] for server in self.state()["servers"].values()]


@contextmanager
def running(**environ: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the demo's servers with *environ* added; give its process and the three addresses that it names."""
    command = (sys.executable, DEMO, "--serve")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1", **environ}
    ) as process:
        try:
            assert process.stdout is not None
            introduction = "".join(takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
            yield process, re.findall(r"http://\S+", introduction)
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    with running() as found:
        yield found


@pytest.fixture
def addresses(served: tuple[subprocess.Popen[str], list[str]]) -> list[str]:
    return served[1]


@pytest.fixture
def demo(addresses: list[str]) -> Iterator[Demo]:
    """A browser in which nobody is signed in; no thief has anything that it has."""
    found = Demo(addresses[0])
    with found.http:
        yield found


pytestmark = pytest.mark.xdist_group("demo")  # which share the servers


def test_the_demo_succeeds() -> None:
    """The demo takes every step, and shows no secret."""
    environ = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    demo = subprocess.run(
        [sys.executable, DEMO], capture_output=True, encoding="utf-8", env=environ, check=False
    )

    assert (demo.returncode, demo.stderr) == (0, "")
    assert demo.stdout.count("✓") == 8
    assert "fask1_" not in demo.stdout


def test_the_demo_serves_until_it_is_interrupted() -> None:
    """With --serve the page and both servers answer a browser, and all have ended when the demo has."""
    with running() as (process, addresses):
        answers = [httpx.get(url, trust_env=False) for url in addresses]

    assert process.returncode == 0
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for url in addresses:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)


def test_the_page_needs_nothing_from_elsewhere(demo: Demo) -> None:
    """Its script, its style and its own address are all that it may load."""
    page = demo.http.get("/")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert files == ["data:,", "demo_page.css", "demo_page.js"]
    assert [demo.http.get(f"/{name}").status_code for name in files[1:]] == [200, 200]
    assert not re.search(r"https?://", page.text + demo.http.get("/demo_page.css").text)


@pytest.mark.parametrize(("here", "there"), [("asgi", "wsgi"), ("wsgi", "asgi")])
def test_what_one_server_does_the_other_shows(demo: Demo, here: str, there: str) -> None:
    """Signing in, a note, counting and signing out."""
    assert demo.press(f"/{here}/login?user=ada")["servers"][there]["user"] == "ada"
    demo.press(f"/{here}/note?colour=blue")
    demo.press(f"/{here}/count")
    assert demo.press(f"/{there}/count")["servers"][there]["notes"] == {"colour": "blue", "count": 2}

    after = demo.press(f"/{there}/logout")

    assert [server["user"] for server in after["servers"].values()] == [None, None]
    assert (after["token"], after["record"]) == ("", None)


def test_the_page_shows_the_browsers_own_cookie_and_its_row(demo: Demo, addresses: list[str]) -> None:
    """The cookie works at the servers' own addresses, and the row has no part of its session id."""
    state = demo.press("/asgi/login?user=ada")

    assert state["token"] == demo.http.cookies["session"]
    assert state["keys"][0] == {"kid": key_id(state["token"]), "state": "signing"}
    assert state["record"]["user_id"] == "ada"
    assert session_id(state["token"]) not in str(state["record"])
    for url in addresses[1:]:
        cookie = {"Cookie": f"session={state['token']}"}
        assert httpx.get(f"{url}/session", headers=cookie, trust_env=False).json()["user"] == "ada"


def test_a_change_elsewhere_is_noticed(demo: Demo, addresses: list[str]) -> None:
    """The pulse is another one when a server's own page changed the session, and the same until then."""
    state = demo.press("/asgi/login?user=ada")
    before = demo.http.get("/pulse").json()["pulse"]

    cookie = {"Cookie": f"session={state['token']}"}
    httpx.post(f"{addresses[2]}/note?colour=blue", headers=cookie, trust_env=False)

    assert before == state["pulse"]
    assert demo.http.get("/pulse").json()["pulse"] != before


def test_a_rotation_changes_the_key_and_signs_nobody_out(demo: Demo) -> None:
    """A new key signs the same session id, and both servers follow."""
    before = demo.press("/asgi/login?user=ada")

    after = demo.press("/rotate")

    assert session_id(after["token"]) == session_id(before["token"])
    assert key_id(after["token"]) == after["keys"][0]["kid"] != key_id(before["token"])
    assert [key["state"] for key in after["keys"][:2]] == ["signing", "verifying"]
    assert demo.users == ["ada", "ada"]
    assert demo.http.cookies["session"] == after["token"]
    assert f"{key_id(before['token'])} and is now signed by {key_id(after['token'])}" in demo.said
    reloaded = [entry["server"] for entry in after["log"] if entry["event"].startswith("keyring_reloaded")]
    assert {"uvicorn", "waitress"} <= set(reloaded)


def test_fifty_writes_at_once_are_kept(demo: Demo) -> None:
    """Each press writes fifty fields anew, and none is lost."""
    demo.press("/wsgi/login?user=ada")
    demo.press("/write-at-once")

    state = demo.press("/write-at-once")

    assert "50 were kept" in demo.said
    for server in state["servers"].values():
        assert len(server["notes"]) == 50
        assert len(set(server["notes"].values())) == 1


@pytest.mark.parametrize(
    ("button", "reason"),
    [
        ("/asgi/logout", "unknown_id"),
        ("/wsgi/login?user=ada", "replaced"),
        ("/sign-out-everywhere", "unknown_id"),
    ],
)
def test_a_stolen_cookie_works_until_the_owner_acts(demo: Demo, button: str, reason: str) -> None:
    demo.press("/asgi/login?user=ada")

    stolen = demo.press("/steal-cookie")["thief"]
    refused = demo.press(button)["thief"]

    assert [server["user"] for server in stolen["servers"].values()] == ["ada", "ada"]
    assert [server["user"] for server in refused["servers"].values()] == [None, None]
    assert (stolen["reason"], refused["reason"]) == ("live", reason)
    assert "The thief’s copy of the cookie opens nothing now." in demo.said
    assert demo.press("/look-again")["thief"]["reason"] == reason


def test_a_thief_is_shown_to_the_browser_that_was_robbed(demo: Demo, addresses: list[str]) -> None:
    """Others get no stolen token, live or not, and cannot send the thief."""
    with Demo(addresses[0]).http as elsewhere:
        demo.press("/asgi/login?user=ada")
        token = demo.press("/steal-cookie")["thief"]["token"]

        nobody = elsewhere.get("/state")
        elsewhere.post("/asgi/login?user=mary", headers=demo.origin).raise_for_status()
        mary = elsewhere.get("/state")
        demo.http.cookies.set("session", elsewhere.cookies["session"])
        owner = demo.state()
        demo.press("/asgi/logout")
        sent = elsewhere.post("/look-again", headers=demo.origin)

        assert owner["thief"]["token"] == token
        for answer in (nobody, mary, sent):
            assert answer.json()["state"]["thief"] is None
            assert token not in answer.text
        assert "thief" not in sent.json()["says"]


def test_signing_out_everywhere_ends_every_session_of_the_user(demo: Demo, addresses: list[str]) -> None:
    with Demo(addresses[0]).http as elsewhere:
        demo.press("/asgi/login?user=grace")
        elsewhere.post("/wsgi/login?user=grace", headers=demo.origin)

        after = demo.press("/sign-out-everywhere")

        assert demo.said.startswith("2 sessions of grace ended.")
        assert demo.users == [None, None]
        assert elsewhere.get("/state").json()["state"]["reason"] == "unknown_id"
        logged = next(entry["event"] for entry in after["log"] if entry["server"] == "this page")
        assert logged.startswith("session_revoked: ")
        assert logged.endswith(" user_id='grace' count=2")


def test_a_stolen_database_opens_nothing(demo: Demo) -> None:
    """Neither the handle nor a token made of the row is let in, and the reason is shown and logged."""
    record = demo.press("/asgi/login?user=ada")["record"]

    state = demo.press("/steal-database")

    assert [attempt["user"] for attempt in state["attempts"]] == [None, None]
    assert [attempt["reason"] for attempt in state["attempts"]] == ["malformed", "bad_mac"]
    assert state["attempts"][0]["token"] == record["handle"]
    assert state["attempts"][1]["token"].startswith(f"1.{record['kid']}.{record['handle'][:32]}.")
    logged = [entry["event"] for entry in state["log"] if entry["event"].startswith("cookie_rejected: ")]
    reasons = {line.rpartition(" reason=")[2] for line in logged}
    assert {"'malformed'", "'bad_mac'"} <= reasons
    assert demo.users == ["ada", "ada"]


def test_no_secret_is_shown(demo: Demo) -> None:
    demo.press("/asgi/login?user=ada")

    demo.press("/rotate")

    assert "fask1_" not in demo.http.get("/state").text


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"Host": "rebound.example"}),
        ("GET", "/state", {"Host": "rebound.example"}),
        ("GET", "/state", {"Host": "127.0.0.1"}),
        ("GET", "/state", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", "/state", {"Sec-Fetch-Site": "same-site"}),  # another port of this machine
        ("POST", "/rotate", {"Origin": "http://rebound.example"}),
        ("POST", "/rotate", {"Origin": "http://127.0.0.1"}),
        ("POST", "/rotate", {"Origin": "null"}),
        ("POST", "/rotate", {}),
        ("POST", "/asgi/login?user=ada", {}),
    ],
)
def test_others_are_refused(demo: Demo, method: str, path: str, headers: dict[str, str]) -> None:
    """Another host, another site and another port get nothing, and change nothing."""
    before = demo.state()["keys"]

    refused = demo.http.request(method, path, headers=headers)

    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "text/plain"
    assert not refused.cookies
    assert demo.state()["keys"] == before


def test_a_head_request_is_a_get_without_a_body(demo: Demo) -> None:
    got, headed = demo.http.get("/"), demo.http.head("/")

    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["Content-Length"] == str(len(got.content))
    assert demo.http.head("/state").status_code == 200
    assert demo.http.head("/", headers={"Host": "rebound.example"}).status_code == 403


@pytest.mark.parametrize("value", ["é", "a b", "a\tb", '"quoted"', "1." + "a" * 199])
def test_a_cookie_that_is_no_token_is_none(demo: Demo, value: str) -> None:
    """Only what can be a token is passed on to the servers."""
    cookie = f"session={value}".encode("latin-1")

    state = demo.http.get("/state", headers=[(b"Cookie", cookie)]).raise_for_status().json()["state"]

    assert (state["token"], state["reason"]) == ("", "no_cookie")


@pytest.mark.parametrize(("server", "program"), [("asgi", "uvicorn"), ("wsgi", "waitress")])
def test_a_server_that_fails_is_named(demo: Demo, server: str, program: str) -> None:
    """The page gets a sentence to show, and nobody is signed in or out."""
    demo.press("/asgi/login?user=ada")

    failed = demo.http.post(f"/{server}/login", headers=demo.origin)

    assert failed.status_code == 502
    assert failed.headers["Content-Type"] == "text/plain"
    assert failed.text == f"{program} responded with 500 Internal Server Error.\n"
    assert demo.users == ["ada", "ada"]


def test_the_page_shows_the_sentence_of_a_failure(demo: Demo) -> None:
    """Also where it asks by itself; only a page that cannot be reached has ended."""
    script = demo.http.get("/demo_page.js").text

    assert "throw new Error(await answer.text())" in script
    assert script.count("The demo has ended.") == script.count("error instanceof TypeError ?") == 1


def test_the_page_counts_one_field_as_one(demo: Demo) -> None:
    """No number stands before a word that is always plural."""
    script = demo.http.get("/demo_page.js").text

    assert "field" in script
    assert not re.search(r"\} fields", script)


def test_the_demo_listens_on_this_machine_alone(served: tuple[subprocess.Popen[str], list[str]]) -> None:
    """Every listening socket of the demo and of its servers is a loopback one."""
    process, addresses = served

    sockets = [
        connection.laddr
        for one in family(process)
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert {socket.ip for socket in sockets} == {"127.0.0.1"}
    assert sorted(f"http://{socket.ip}:{socket.port}" for socket in sockets) == sorted(addresses)


def test_the_demo_takes_no_setting_from_the_shell() -> None:
    """Its servers have the settings of the demo, and no other one that a shell may have."""
    own = {"FLUIDAUTH_DATABASE", "FLUIDAUTH_DEVELOPMENT", "FLUIDAUTH_KEYRING"}
    shell = {"FLUIDAUTH_TEST_DATABASE": "postgresql://elsewhere", "FLUIDAUTH_LATER": "1"}

    with running(**shell, FLUIDAUTH_SECRET="short", FLUIDAUTH_DATABASE="redis://elsewhere") as (process, _):
        environs = [one.environ() for one in family(process)[1:]]

    assert len(environs) == 3
    for environ in environs:
        assert {name for name in environ if name.startswith("FLUIDAUTH_")} == own
        assert "elsewhere" not in environ["FLUIDAUTH_DATABASE"]


def test_the_demo_prints_in_any_encoding() -> None:
    """A sign that the terminal does not have becomes a question mark."""
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}

    demo = subprocess.run(
        [sys.executable, DEMO], capture_output=True, encoding="latin-1", env=environ, check=False
    )

    assert (demo.returncode, demo.stderr) == (0, "")
    assert len(re.findall(r"^\? ", demo.stdout, re.MULTILINE)) == 8


def test_the_demos_files_are_utf_8_in_any_locale() -> None:
    """Python warns where a file's encoding is left to the locale; here the warning is an error."""
    modules = ("__main__", "demo_apps", "demo_page", "demo_scene")
    errors = ",".join(f"error::EncodingWarning:{module}" for module in modules)

    with running(PYTHONWARNDEFAULTENCODING="1", PYTHONWARNINGS=errors) as (_, addresses):
        demo = Demo(addresses[0])
        with demo.http:
            demo.press("/asgi/login?user=ada")
            state = demo.press("/steal-database")

    assert {entry["server"] for entry in state["log"]} >= {"uvicorn"}


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return *process* and everything that it started."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def session_id(token: str) -> str:
    return token.split(".")[2]


def key_id(token: str) -> str:
    return token.split(".")[1]
