"""Which secrets are refused, and with which words."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ConfigError, Keyring, MemoryStore, SessionEngine
from fluidauth.keys import new_secret
from tests.keys.secrets import ADVICE, GOOD, OTHER, OWN_FORM

SUBSTITUTED = (
    "is a substitution that no shell carried out. The file that sets it takes it word for word: run "
    "the command, and paste what it prints"
)
PUBLISHED = "is a published example or a placeholder"
SUBSTITUTION = (
    "is a substitution that no shell carried out. The file that sets it takes it word for word: run "
    "the command, and paste what it prints"
)
MAKES_ONE = """$(python -c "from fluidauth import new_secret; print(new_secret())")"""


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
        (
            "django-insecure-0123456789!@#$%^&*(-_=+)",
            "begins as startproject's keys do, which are not for production",
        ),
        ("pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw", PUBLISHED),  # Flask-Security
        ("a-string-secret-at-least-256-bits-long", PUBLISHED),  # jwt.io
        ("REPLACE_ME_WITH_SOMETHING_0123456789", PUBLISHED),
        (
            "python3 -c 'import os; print(os.urandom(32))'",
            "is a command, and not its output; run it, and paste what it prints",
        ),
        (
            "openssl rand -base64 48 | tr -d '\\n' | head",
            "is a command, and not its output; run it, and paste what it prints",
        ),
        ("$FLUIDAUTH_SIGNING_TOKEN_FROM_VAULT", SUBSTITUTED),
        ("{{ vault.fluidauth.session_signer }}", SUBSTITUTED),
        (
            "/run/secrets/fluidauth_session_signer",
            "is the path of a file, and not a secret; a keyring file goes into FLUIDAUTH_KEYRING",
        ),
        (
            "op://production/fluidauth/session-signer",
            "is the path of a file, and not a secret; a keyring file goes into FLUIDAUTH_KEYRING",
        ),
        ("YOUR_OWN_RANDOM_GENERATED_SECRET_KEY", PUBLISHED),  # Superset
        ("\x02\x01thisismyscretkey\x01\x02\\e\\y\\y\\h-0123", PUBLISHED),  # Superset, CVE-2023-27524
        ("192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf", PUBLISHED),  # Flask
        (b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf", PUBLISHED),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", PUBLISHED),  # FastAPI
        (OWN_FORM[:-1], "contains fask1_ but is not a whole secret; was it cut, or copied with its name?"),
        (
            f"FLUIDAUTH_SECRET={OWN_FORM}",
            "contains fask1_ but is not a whole secret; was it cut, or copied with its name?",
        ),
        (f"'{OWN_FORM}'", "contains fask1_ but is not a whole secret; was it cut, or copied with its name?"),
        (OWN_FORM + "x", "contains fask1_ but is not a whole secret; was it cut, or copied with its name?"),
        (
            OWN_FORM[:-1] + "ä",
            "contains fask1_ but is not a whole secret; was it cut, or copied with its name?",
        ),
    ],
    ids=repr,
)
def test_a_weak_secret_is_refused(secret: str | bytes, weakness: str) -> None:
    """A weak secret is an error at the start, which says why and how to make a good one."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets(secret)

    assert str(caught.value) == f"the secret {weakness}{ADVICE}"


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    "secret",
    [
        MAKES_ONE,
        MAKES_ONE.encode(),
        f'"{MAKES_ONE}"',
        f" '{MAKES_ONE}'\r\n",
        f"\\{MAKES_ONE}",  # escaped, for another shell
        f"${MAKES_ONE}",  # as compose escapes it
        "$(openssl rand -hex 32)",  # short: why it is counts more than that
        "$(\n  openssl rand -base64 48 | tr -d '=+/' \n)",
        "`openssl rand -base64 48 | tr -d '=+/'`",
        "${FLUIDAUTH_SECRET:?run make secrets and try again}",
        '"${FLUIDAUTH_SECRET}"',
        "'$(openssl rand -hex 32)",  # a quote was lost
    ],
    ids=repr,
)
def test_what_a_shell_was_to_replace_is_refused(secret: str | bytes) -> None:
    """Each file of settings that hands it over word for word makes it the same published secret."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets(secret)

    assert str(caught.value) == f"the secret {SUBSTITUTION}{ADVICE}"


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    "place",
    [
        "sqlite:///x.db",
        "sqlite:////var/lib/a-long-name/with/many/letters/sessions.sqlite",
        "postgresql://ann:hunter2@db.example.org:5432/sessions",
        "redis+sentinel://:hunter2@one,two,three/primary",
        "memory://",
        "/var/lib/a-long-name/of/the/application/sessions.db",
    ],
)
def test_a_store_in_the_place_of_the_secret_is_told(place: str) -> None:
    """The first argument of an engine is the secret; a long place would have been taken for one."""
    with pytest.raises(ConfigError) as caught:
        SessionEngine(place)

    assert str(caught.value) == (
        "the secret names a store, which goes into store= or FLUIDAUTH_DATABASE (SessionEngine's "
        f"first argument is the secret){ADVICE}"
    )


@pytest.mark.parametrize("store", [MemoryStore(), Path("sessions.db")], ids=["store", "path"])
def test_a_store_itself_is_told_as_well(store: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        SessionEngine(store)

    assert str(caught.value) == "the first argument is the secret; a store goes into SessionEngine(store=…)"


@pytest.mark.requirement("32")
@pytest.mark.parametrize("secret", [f"$({GOOD}", f"{GOOD}$(x)", f"`{GOOD}", f"{{{GOOD}}}", f"${GOOD}"])
def test_a_secret_may_have_a_shells_signs_in_it(secret: str) -> None:
    """Generators of passwords put them there; only the whole value is a substitution."""
    assert Keyring.from_secrets(secret).kids


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
def test_value_that_is_no_secret_is_refused(given: Any, message: str) -> None:
    """Only text, bytes and collections of them are secrets."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_secrets(given)

    assert str(caught.value) == message


@pytest.mark.requirement("32")
@pytest.mark.parametrize("given", [5, 1.5, True])
def test_value_that_is_no_collection_of_secrets_is_a_config_error(given: Any) -> None:
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
def test_single_secret_is_never_a_list_of_characters(secret: str | bytes) -> None:
    """A single secret where several could stand gives one key (compare Flask's fallbacks)."""
    keyring = Keyring.from_secrets(secret)

    assert keyring.kids == (keyring.signing.kid,)


def test_a_new_secret_has_a_form_that_scanners_find() -> None:
    """``fask1_`` and 43 base64url characters: 256 bits."""
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"fask1_[A-Za-z0-9_-]{43}", secret) for secret in made)
