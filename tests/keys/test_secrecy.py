"""Nothing shows a secret: no repr, no copy, no traceback."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import secrets
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fluidauth
from fluidauth import ConfigError, CookieOptions, Keyring, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.engine.visit import Visit
from fluidauth.formats.encryption import FieldCipher
from fluidauth.keys import Key
from fluidauth.stores import SessionRecord
from tests.keys.secrets import GOOD, OTHER


def an_engine() -> SessionEngine:
    return SessionEngine(secret=[GOOD, OTHER], store=MemoryStore(), cookie=CookieOptions(secure=False))


def a_cipher() -> FieldCipher:
    cipher = FieldCipher(Keyring.from_secrets([GOOD, OTHER]), "ab" * 32)
    cipher.encrypt("email", "text")
    return cipher


HOLDERS: dict[str, Callable[[], Any]] = {
    "key": lambda: Key(GOOD),
    "keyring": lambda: Keyring.from_secrets([GOOD, OTHER]),
    "cipher": a_cipher,
    "sealer": lambda: an_engine().policy.sealer,
    "policy": lambda: an_engine().policy,
    "requests": lambda: an_engine().requests,
    "engine": an_engine,
}


@pytest.mark.requirement("59")
def test_keys_show_their_kid_alone() -> None:
    """repr, str and format are made for logs."""
    keyring = Keyring.from_secrets([GOOD, OTHER])
    signing, verifying = keyring.kids

    shown = [repr(keyring.signing), f"{keyring}", str(keyring)]

    assert shown[0] == f"<Key {signing}>"
    assert shown[1] == shown[2] == f"<Keyring signing={signing} verifying=[{verifying!r}]>"


@pytest.mark.requirement("59")
@pytest.mark.parametrize("kind", ["Key", "Keyring"])
@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy, lambda h: pickle.dumps(h, 0)])
def test_keys_say_why_they_cannot_be_copied(kind: str, how: Callable[[Any], object]) -> None:
    """Each refuses by itself, whatever it is made of."""
    with pytest.raises(TypeError) as caught:
        how(HOLDERS[kind.lower()]())

    assert str(caught.value) == f"a {kind} cannot be pickled or copied: it holds secrets"


@pytest.mark.requirement("59")
@pytest.mark.parametrize("name", HOLDERS)
def test_keys_cannot_be_copied_out(name: str) -> None:
    """pickle and deepcopy refuse whatever holds keys, vars() and repr() show none."""
    holder = HOLDERS[name]()

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(holder, protocol)
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(holder)

    shown = repr(holder) + repr(getattr(holder, "__dict__", None))

    assert not [secret for secret in (GOOD, OTHER) if secret in shown]


@pytest.mark.requirement("33", "59")
@pytest.mark.parametrize("secret", [GOOD, GOOD.encode()], ids=["text", "bytes"])
def test_the_secret_is_dropped_after_derivation(secret: str | bytes) -> None:
    """No object that an engine reaches is, or holds, the secret."""
    engine = SessionEngine(secret=secret, store=MemoryStore(), cookie=CookieOptions(secure=False))

    found = list(reachable(engine))

    assert any(isinstance(thing, Key) for thing in found)
    assert not [thing for thing in found if isinstance(thing, str) and GOOD in thing]
    assert not [thing for thing in found if isinstance(thing, bytes) and GOOD.encode() in thing]


def reachable(root: object) -> Iterator[object]:
    """Yield all that *root* refers to, directly or not; not the code behind it."""
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType)
    seen, waiting = {id(root)}, [root]
    while waiting:
        thing = waiting.pop()
        yield thing
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, code):
                seen.add(id(other))
                waiting.append(other)


def shown_by_our_frames(error: BaseException) -> str:
    """Return the locals of each of the package's frames in *error*'s traceback, as a reporter would."""
    package = fluidauth.__path__[0]
    shown, frames = [], 0
    for link in (error, error.__cause__, error.__context__):
        step = link.__traceback__ if link is not None else None
        while step is not None:
            if step.tb_frame.f_code.co_filename.startswith(package):
                frames += 1
                shown += [saferepr(value) for value in step.tb_frame.f_locals.values()]
            step = step.tb_next
    assert frames
    return "\n".join([*shown, repr(error), str(error)])


def saferepr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # as error reporters do
        return repr(error)


WEAK = "changeme-UNMISTAKABLE-0123456789-abc"
FOUND = re.compile("UNMISTAKABLE|ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@pytest.mark.requirement("59")
@pytest.mark.parametrize(
    "call",
    [
        lambda: Keyring.from_secrets(WEAK),
        lambda: Keyring.from_secrets(WEAK.encode()),
        lambda: Keyring.from_secrets([WEAK]),
        lambda: Keyring.from_secrets(("ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789", WEAK)),
        lambda: Keyring.from_secrets(["ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789"] * 2),
        lambda: Keyring.from_env({"FLUIDAUTH_SECRET": WEAK}),
        lambda: Keyring.from_env({"FLUIDAUTH_SECRETS": f"ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789 {WEAK}"}),
        lambda: Keyring.from_env({"FLUIDAUTH_SECRET": WEAK, "FLUIDAUTH_SECRETS": WEAK}),
        lambda: SessionEngine(secret=WEAK, store=MemoryStore()),
        lambda: SessionEngine(secret=[WEAK.encode()], store=MemoryStore()),
        lambda: SessionEngine(WEAK),
        lambda: SessionEngine("ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789", MemoryStore(), max_payload=1),
    ],
    ids=[
        "text",
        "bytes",
        "list",
        "second of two",
        "twice",
        "environment",
        "environment, several",
        "environment, both",
        "engine",
        "engine, list",
        "engine, by position",
        "engine, another setting is wrong",
    ],
)
def test_a_refusal_shows_no_secret(call: Callable[[], object]) -> None:
    """Neither the message nor the locals in the traceback's frames of ours hold a secret."""
    with pytest.raises(ConfigError) as caught:
        call()

    assert not FOUND.findall(shown_by_our_frames(caught.value))


@pytest.mark.requirement("59")
def test_a_refusal_of_the_environment_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that finds a weak secret in ``os.environ`` does not show the environment."""
    monkeypatch.delenv("FLUIDAUTH_SECRETS", raising=False)
    monkeypatch.setenv("FLUIDAUTH_SECRET", WEAK)

    with pytest.raises(ConfigError) as caught:
        SessionEngine(store=MemoryStore())

    assert not FOUND.findall(shown_by_our_frames(caught.value))


class DownStore(MemoryStore):
    """Fails while it is *down*, and whenever an id is to be renewed."""

    down = False

    def get(self, handle: str) -> SessionRecord | None:
        if self.down:
            raise StoreError("the store is down")
        return super().get(handle)

    def create(self, record: SessionRecord) -> None:
        if self.down:
            raise StoreError("the store is down")
        super().create(record)

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        raise StoreError("the store is down")


def log_in_again(engine: SessionEngine, token: str) -> None:
    session = Session(Visit(engine.requests, f"session={token}"))
    session.login("user-42")
    session.save()


@pytest.mark.requirement("25", "59")
@pytest.mark.parametrize(
    ("down", "call"),
    [
        (True, lambda engine, token: len(Session(Visit(engine.requests, f"session={token}")))),
        (True, lambda engine, token: engine.create_session("user-42")),
        (False, log_in_again),
    ],
    ids=["load", "create_session", "login"],
)
def test_a_store_that_fails_shows_no_session_id(
    down: bool, call: Callable[[SessionEngine, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage sends tracebacks to error reporters; the ids of live sessions do not travel along."""
    store = DownStore()
    engine = SessionEngine(GOOD, store, cookie=CookieOptions(secure=False))
    monkeypatch.setattr(secrets, "token_bytes", lambda length: b"\xaa" * length)
    token, _ = engine.create_session("user-42")
    monkeypatch.setattr(secrets, "token_bytes", lambda length: b"\xbb" * length)
    store.down = down

    with pytest.raises(StoreError) as caught:
        call(engine, token)

    assert token[9:41] == "qqqq" * 8
    assert not re.findall("qqqqqqqq|u7u7u7u7", shown_by_our_frames(caught.value))


@pytest.mark.parametrize("wrong", [{"secret": WEAK}, {"secret": GOOD, "max_payload": 1}], ids=str)
def test_an_engine_that_was_refused_can_be_shown(wrong: dict[str, Any]) -> None:
    """A debugger calls repr() on what ``__init__`` left half built."""
    engine = SessionEngine.__new__(SessionEngine)
    with pytest.raises(ConfigError):
        engine.__init__(store=MemoryStore(), **wrong)  # type: ignore[misc]  # as a debugger may

    assert "SessionEngine" in repr(engine)
