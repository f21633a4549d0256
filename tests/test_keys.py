"""Secrets: which are refused, what is derived from them, and that nothing shows them."""

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
from fluidauth import (
    ConfigError,
    CookieOptions,
    Keyring,
    MemoryStore,
    Session,
    SessionEngine,
    SessionRecord,
    StoreError,
)
from fluidauth.engine.visit import Visit
from fluidauth.formats.encryption import FieldCipher
from fluidauth.keys import Key, new_secret

GOOD = "TEST-ONLY-0123456789-abcdefghijklmn"
OTHER = "TEST-ONLY-9876543210-nmlkjihgfedcba"
OWN_FORM = "fask1_TEST-ONLY-0123456789-abcdefghijklmnopqrstuv"
ADVICE = '; make a good one with\n    python -c "from fluidauth.keys import new_secret; print(new_secret())"'
PUBLISHED = "is a published example or a placeholder"


# -- which secrets are refused ----------------------------------------------------------


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    ("secret", "weakness"),
    [
        ("", "has 0 characters; at least 32 are needed"),
        (b"", "has 0 characters; at least 32 are needed"),
        (" " * 64, "has 0 characters; at least 32 are needed"),
        ("changeme", "has 8 characters; at least 32 are needed"),
        ("old-secret", "has 10 characters; at least 32 are needed"),
        ("TEST_NON_DEV_SECRET", "has 19 characters; at least 32 are needed"),  # Superset's compose file
        ("thisISaSECRET_1234", "has 18 characters; at least 32 are needed"),  # Superset's documentation
        (GOOD[:31], "has 31 characters; at least 32 are needed"),
        (f" {GOOD[:31]}\n", "has 31 characters; at least 32 are needed"),
        (GOOD[:31].encode(), "has 31 characters; at least 32 are needed"),
        ("a" * 64, "repeats one pattern"),
        (b"\x00" * 64, "repeats one pattern"),
        (GOOD[:16] * 3, "repeats one pattern"),
        ("0123456789abcdefghijklmnopqrstuv" * 2, "repeats one pattern"),
        ("a" * 40 + "b", "has only 2 distinct characters"),
        ("abcdefghijklmno" * 3 + "a", "has only 15 distinct characters"),
        ("0123456" * 9 + "1", "has only 7 distinct characters"),
        ("changeme-0123456789-abcdefghijklmn", PUBLISHED),
        ("ChangeMe-0123456789-abcdefghijklmn", PUBLISHED),
        ("please_CHANGE_ME_0123456789-abcdef", PUBLISHED),
        ("django-insecure-0123456789!@#$%^&*(-_=+)", PUBLISHED),
        ("YOUR_OWN_RANDOM_GENERATED_SECRET_KEY", PUBLISHED),  # Superset
        ("\x02\x01thisismyscretkey\x01\x02\\e\\y\\y\\h-0123", PUBLISHED),  # Superset, CVE-2023-27524
        ("192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf", PUBLISHED),  # Flask
        (b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf", PUBLISHED),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", PUBLISHED),  # FastAPI
        (OWN_FORM[:-1], "has fask1_ in it but is not just that; was it cut, or copied with its name?"),
        (
            f"FLUIDAUTH_SECRET={OWN_FORM}",
            "has fask1_ in it but is not just that; was it cut, or copied with its name?",
        ),
        (f"'{OWN_FORM}'", "has fask1_ in it but is not just that; was it cut, or copied with its name?"),
        (OWN_FORM + "x", "has fask1_ in it but is not just that; was it cut, or copied with its name?"),
        (OWN_FORM[:-1] + "ä", "has fask1_ in it but is not just that; was it cut, or copied with its name?"),
    ],
    ids=repr,
)
def test_a_weak_secret_is_refused(secret: str | bytes, weakness: str) -> None:
    """A weak secret is an error at the start, which says why and how to make a good one."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets(secret)

    assert str(caught.value) == f"the secret {weakness}{ADVICE}"


@pytest.mark.requirement("32")
@pytest.mark.parametrize("weak", ["old-secret", b"x" * 40, "changeme-0123456789-abcdefghijklmn"])
def test_a_weak_secret_among_good_ones_is_named_by_its_place(weak: str | bytes) -> None:
    """Older secrets must be as strong as the one that signs: they verify, too."""
    with pytest.raises(ConfigError, match=r"^secret number 2 "):
        Keyring.from_secrets([GOOD, weak, OTHER])


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "secret= is an empty list; give at least one secret"),
        ((), "secret= is an empty list; give at least one secret"),
        ([None], f"the secret is of type NoneType, not text or bytes{ADVICE}"),
        ([GOOD, 5], f"secret number 2 is of type int, not text or bytes{ADVICE}"),
        ([[GOOD]], f"the secret is of type list, not text or bytes{ADVICE}"),
        (bytearray(GOOD, "ascii"), f"secret number 1 is of type int, not text or bytes{ADVICE}"),
    ],
    ids=repr,
)
def test_what_is_no_secret_is_refused(given: Any, message: str) -> None:
    """Only text, bytes and collections of them are secrets."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets(given)

    assert str(caught.value) == message


@pytest.mark.requirement("32")
@pytest.mark.parametrize("given", [5, 1.5, True])
def test_what_is_no_collection_of_secrets_is_a_config_error(given: Any) -> None:
    """An engine raises ConfigError for every secret that is wrong, whatever its type."""
    with pytest.raises(ConfigError):
        SessionEngine(secret=given, store=MemoryStore())


@pytest.mark.requirement("32")
def test_text_that_utf8_cannot_hold_is_a_config_error() -> None:
    """A lone surrogate in a secret is refused without an error that carries the secret."""
    with pytest.raises(ConfigError):
        Keyring.from_secrets("\ud800" + GOOD)


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    "make",
    [
        new_secret,
        lambda: secrets.token_hex(16),
        lambda: secrets.token_hex(32),
        lambda: secrets.token_urlsafe(24),
        lambda: secrets.token_urlsafe(64),
        lambda: secrets.token_bytes(32),
        lambda: secrets.token_bytes(64),
    ],
    ids=["new_secret", "hex 16", "hex 32", "urlsafe 24", "urlsafe 64", "bytes 32", "bytes 64"],
)
def test_random_secrets_are_accepted(make: Callable[[], str | bytes]) -> None:
    """No check refuses what a good generator makes."""
    kids = {Keyring.from_secrets(make()).signing.kid for _ in range(200)}

    assert len(kids) == 200


@pytest.mark.requirement("32")
@pytest.mark.parametrize("secret", [GOOD, GOOD.encode(), OWN_FORM])
def test_one_secret_is_never_a_list_of_characters(secret: str | bytes) -> None:
    """A single secret where several could stand gives one key (compare Flask's fallbacks)."""
    keyring = Keyring.from_secrets(secret)

    assert keyring.kids == (keyring.signing.kid,)


def test_a_new_secret_has_a_form_that_scanners_find() -> None:
    """``fask1_`` and 43 base64url characters: 256 bits."""
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"fask1_[A-Za-z0-9_-]{43}", secret) for secret in made)


# -- several secrets --------------------------------------------------------------------


@pytest.mark.requirement("30")
def test_the_first_secret_signs() -> None:
    """The newest comes first; the others only verify."""
    kids = [Keyring.from_secrets(secret).signing.kid for secret in (GOOD, OTHER, OWN_FORM)]

    keyring = Keyring.from_secrets([GOOD, OTHER, OWN_FORM])

    assert keyring.signing.kid == kids[0]
    assert keyring.kids == tuple(kids)
    assert [key and key.kid for key in map(keyring.find, kids)] == kids


@pytest.mark.parametrize("given", [(GOOD, OTHER), iter([GOOD, OTHER]), {GOOD: 1, OTHER: 2}.keys()])
def test_any_iterable_of_secrets_will_do(given: Any) -> None:
    """A list, a tuple or an iterator that can be read only once."""
    assert Keyring.from_secrets(given).kids == Keyring.from_secrets([GOOD, OTHER]).kids


@pytest.mark.parametrize("twice", [GOOD, f"\t{GOOD} \n", GOOD.encode()], ids=["same", "spaces", "bytes"])
def test_one_secret_given_twice_is_refused(twice: str | bytes) -> None:
    """The same secret in two places is a mistake in a rotation."""
    kid = Keyring.from_secrets(GOOD).signing.kid

    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets([GOOD, OTHER, twice])

    assert str(caught.value) == f"two secrets have the key id {kid!r}; remove the one given twice"


@pytest.mark.parametrize("same", [GOOD.encode(), f"{GOOD}\n", f"  {GOOD}\r\n"], ids=repr)
def test_a_secret_has_one_kid_wherever_it_comes_from(same: str | bytes) -> None:
    """Text, bytes, and text with a file's white space around it are the same secret."""
    assert Keyring.from_secrets(same).signing.kid == Keyring.from_secrets(GOOD).signing.kid


@pytest.mark.requirement("29")
@pytest.mark.parametrize("kid", ["", "aaaaaa", "AAAAAA", "......", "\u2000", "x" * 10_000])
def test_an_unknown_kid_finds_nothing(kid: str) -> None:
    """A kid picks its own key or none; there is no default."""
    assert Keyring.from_secrets([GOOD, OTHER]).find(kid) is None


def test_a_kid_is_six_lower_case_base32_characters() -> None:
    """It stands in a cookie at a fixed place."""
    kids = [Keyring.from_secrets(new_secret()).signing.kid for _ in range(50)]

    assert all(re.fullmatch(r"[a-z2-7]{6}", kid) for kid in kids)


# -- from the environment -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FLUIDAUTH_SECRET": GOOD}, [GOOD]),
        ({"FLUIDAUTH_SECRET": f" {GOOD}\n"}, [GOOD]),
        ({"FLUIDAUTH_SECRET": GOOD, "FLUIDAUTH_SECRETS": ""}, [GOOD]),
        ({"FLUIDAUTH_SECRETS": f"{GOOD} {OTHER}"}, [GOOD, OTHER]),
        ({"FLUIDAUTH_SECRETS": f"\n{OTHER}\n\t{GOOD}\r\n"}, [OTHER, GOOD]),
        ({"FLUIDAUTH_SECRETS": GOOD, "FLUIDAUTH_SECRET": ""}, [GOOD]),
    ],
)
def test_secrets_from_the_environment(environ: dict[str, str], expected: list[str]) -> None:
    """One variable for one secret, one for several parted by white space, newest first."""
    assert Keyring.from_env(environ).kids == Keyring.from_secrets(expected).kids


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"FLUIDAUTH_SECRET": GOOD, "FLUIDAUTH_SECRETS": OTHER},
            "set one of FLUIDAUTH_SECRET, FLUIDAUTH_SECRETS and FLUIDAUTH_KEYRING, not more",
        ),
        (
            {},
            "no secret: pass secret=, set FLUIDAUTH_KEYRING to a keyring file, "
            "or FLUIDAUTH_SECRET to one made by\n"
            '    python -c "from fluidauth.keys import new_secret; print(new_secret())"',
        ),
        (
            {"FLUIDAUTH_SECRET": "", "FLUIDAUTH_SECRETS": ""},
            "no secret: pass secret=, set FLUIDAUTH_KEYRING to a keyring file, "
            "or FLUIDAUTH_SECRET to one made by\n"
            '    python -c "from fluidauth.keys import new_secret; print(new_secret())"',
        ),
        (
            {"FLUIDAUTH_SECRET": "changeme"},
            f"the secret has 8 characters; at least 32 are needed{ADVICE}",
        ),
        (
            {"FLUIDAUTH_SECRETS": f"{GOOD} old-secret"},
            f"secret number 2 has 10 characters; at least 32 are needed{ADVICE}",
        ),
    ],
    ids=["both", "none", "empty", "weak", "weak older one"],
)
def test_a_wrong_environment_is_refused(environ: dict[str, str], message: str) -> None:
    """Nothing is guessed: no secret, two answers or a weak one stop the start."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_env(environ)

    assert str(caught.value) == message


def test_an_engine_without_a_secret_asks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``secret=None`` reads the two variables, and nothing else."""
    monkeypatch.delenv("FLUIDAUTH_SECRETS", raising=False)
    monkeypatch.setenv("FLUIDAUTH_SECRET", GOOD)

    engine = SessionEngine(store=MemoryStore(), cookie=CookieOptions(secure=False))

    assert engine.policy.sealer.keyring.kids == Keyring.from_secrets(GOOD).kids


# -- what is derived ----------------------------------------------------------------------


@pytest.mark.requirement("33")
def test_subkeys_differ_by_purpose() -> None:
    """What one purpose authenticates, another does not, for any key."""
    message = b"x" * 41
    derived = []
    for secret in (GOOD, OTHER, OWN_FORM, *(new_secret() for _ in range(20))):
        key = Key(secret)
        derived += [key.cookie_mac(message), key.record_mac(message), key.record_mac(b"\0\0\0\x29" + message)]
        derived += [key.field_key("ab" * 32), key.field_key("cd" * 32), key.kid.encode()]

    assert len(set(derived)) == len(derived) == 23 * 6


def test_a_key_keeps_its_template_unused() -> None:
    """A MAC taken in between changes no later one."""
    key = Key(GOOD)
    first = (key.cookie_mac(b"a" * 41), key.record_mac(b"a"))

    key.cookie_mac(b"b" * 41)
    key.record_mac(b"b")

    assert (key.cookie_mac(b"a" * 41), key.record_mac(b"a")) == first


# -- nothing shows a secret -----------------------------------------------------------------


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
    "gateway": lambda: an_engine().requests,
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


def test_a_keyring_of_keys_refuses_one_kid_twice() -> None:
    """Also where it is built from keys and not from secrets."""
    with pytest.raises(ConfigError, match="two secrets have the key id"):
        Keyring(Key(GOOD), [Key(OTHER), Key(GOOD.encode())])
