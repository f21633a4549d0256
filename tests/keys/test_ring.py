"""Several secrets as one keyring, given in code or by the environment."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fluidauth import ConfigError, CookieOptions, Keyring, MemoryStore, SessionEngine
from fluidauth.keys import Key, new_secret
from tests.keys.secrets import ADVICE, GOOD, OTHER, OWN_FORM

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
def test_secret_given_twice_is_refused(twice: str | bytes) -> None:
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
    "several",
    [
        f"{GOOD},{OTHER}",
        f"{GOOD}, {OTHER}",
        f"{GOOD} , {OTHER}",
        f"{OWN_FORM},{OWN_FORM}",
        f"{'0123456789abcdef' * 3}0,{'fedcba9876543210' * 3}f",
        f"{GOOD},",
    ],
)
def test_secrets_between_commas_are_refused(several: str) -> None:
    """They would be one secret, which no cookie was signed by."""
    with pytest.raises(ConfigError) as caught:
        Keyring.from_env({"FLUIDAUTH_SECRETS": several})

    assert str(caught.value) == (
        "FLUIDAUTH_SECRETS has a comma: separate secrets by spaces; put a secret with a comma in it into "
        "FLUIDAUTH_SECRET or a keyring file"
    )


@pytest.mark.requirement("32")
@pytest.mark.parametrize("name", ["FLUIDAUTH_SECRET", "FLUIDAUTH_SECRETS"])
@pytest.mark.parametrize("value", ["$(python -c 'print(1, 2)' | sha256sum)", "`cat /run/secrets/a` "])
def test_a_variable_with_a_shells_substitution_is_refused(name: str, value: str) -> None:
    """One command is one, whatever it has between its words."""
    with pytest.raises(ConfigError, match=rf"^{name} is a substitution that no shell carried out\. "):
        Keyring.from_env({name: value})


def test_one_secret_may_have_a_comma() -> None:
    """Where nothing else can be meant."""
    secret = f"{GOOD},{OTHER}"

    assert Keyring.from_env({"FLUIDAUTH_SECRET": secret}).kids == Keyring.from_secrets(secret).kids


@pytest.mark.requirement("32")
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"FLUIDAUTH_SECRET": GOOD, "FLUIDAUTH_SECRETS": OTHER},
            "set only one of FLUIDAUTH_SECRET, FLUIDAUTH_SECRETS and FLUIDAUTH_KEYRING",
        ),
        (
            {},
            "no secret: pass secret=, set FLUIDAUTH_KEYRING to a keyring file, "
            "or FLUIDAUTH_SECRET to one made with\n"
            '    python -c "from fluidauth import new_secret; print(new_secret())"\n'
            "or, on your own machine, set FLUIDAUTH_DEVELOPMENT=1: then no secret is needed",
        ),
        (
            {"FLUIDAUTH_SECRET": "", "FLUIDAUTH_SECRETS": ""},
            "no secret: pass secret=, set FLUIDAUTH_KEYRING to a keyring file, "
            "or FLUIDAUTH_SECRET to one made with\n"
            '    python -c "from fluidauth import new_secret; print(new_secret())"\n'
            "or, on your own machine, set FLUIDAUTH_DEVELOPMENT=1: then no secret is needed",
        ),
        (
            {"FLUIDAUTH_SECRET": "changeme"},
            f"FLUIDAUTH_SECRET has 8 characters; at least 32 are needed{ADVICE}",
        ),
        (
            {"FLUIDAUTH_SECRETS": f"{GOOD} old-secret"},
            f"secret number 2 of FLUIDAUTH_SECRETS has 10 characters; at least 32 are needed{ADVICE}",
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

    assert engine.policy.keyring.kids == Keyring.from_secrets(GOOD).kids


# -- nothing shows a secret -----------------------------------------------------------------


def test_a_keyring_of_keys_refuses_one_kid_twice() -> None:
    """Also where it is built from keys and not from secrets."""
    with pytest.raises(ConfigError, match="two secrets have the key id"):
        Keyring(Key(GOOD), [Key(OTHER), Key(GOOD.encode())])
