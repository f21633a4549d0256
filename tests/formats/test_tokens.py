"""Tokens: one spelling each, one key tried, and every forgery refused."""

from __future__ import annotations

import base64
import hmac
import random
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import Keyring
from fluidauth.formats import tokens
from fluidauth.keys import Key, new_secret

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
OTHER_SECRET = "TEST-ONLY-9876543210-nmlkjihgfedcba"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
KEY = Key(SECRET)
OTHER_KEY = Key(OTHER_SECRET)
KEYRING = Keyring(KEY)
BOTH = Keyring(KEY, [OTHER_KEY])
TOKEN = tokens.sign(KEY, SESSION_ID)
KID, MAC = TOKEN[2:8], TOKEN[42:]


class CountingKey(Key):
    """A key that counts the MACs taken with it."""

    __slots__ = ("macs",)

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.macs = 0

    def cookie_mac(self, text: bytes) -> bytes:
        self.macs += 1
        return super().cookie_mac(text)


# -- what a token is --------------------------------------------------------------------


@pytest.mark.requirement("1")
def test_ids_come_from_the_secure_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id is the 24 bytes that ``secrets.token_bytes`` gave, and nothing else."""
    asked = []

    def token_bytes(length: int) -> bytes:
        asked.append(length)
        return bytes(range(length))

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)

    assert tokens.new_session_id() == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
    assert asked == [24]


@pytest.mark.requirement("1")
def test_ids_do_not_repeat() -> None:
    """A million ids, each of 32 base64url characters."""
    ids = {tokens.new_session_id() for _ in range(1_000_000)}

    assert len(ids) == 1_000_000
    assert {len(session_id) for session_id in ids} == {32}


@settings(max_examples=300)
@given(st.binary(min_size=24, max_size=24))
def test_a_signed_id_verifies(raw: bytes) -> None:
    """Any id comes back from its token, which has 66 characters at fixed places."""
    session_id = base64.urlsafe_b64encode(raw).decode()

    token = tokens.sign(KEY, session_id)

    assert tokens.verify(KEYRING, token) == (session_id, KEY.kid)
    assert re.fullmatch(r"1\.[a-z2-7]{6}\.[A-Za-z0-9_-]{32}\.[A-Za-z0-9_-]{24}", token)


@pytest.mark.requirement("37")
def test_signing_is_deterministic() -> None:
    """Parallel responses agree on the cookie, whichever process signs it."""
    made = {tokens.sign(Key(SECRET), SESSION_ID) for _ in range(50)}

    assert made == {TOKEN}


# -- forgeries ----------------------------------------------------------------------------


@pytest.mark.requirement("21", "26", "28")
@pytest.mark.parametrize("keyring", [KEYRING, BOTH], ids=["one key", "two keys"])
def test_no_bit_can_be_flipped(keyring: Keyring) -> None:
    """Each of the 528 bits matters, the last bits of the base64 groups as well."""
    flipped = [
        TOKEN[:place] + chr(ord(TOKEN[place]) ^ 1 << bit) + TOKEN[place + 1 :]
        for place in range(66)
        for bit in range(8)
    ]

    opened = [token for token in flipped if isinstance(tokens.verify(keyring, token), tuple)]

    assert len(set(flipped) - {TOKEN}) == 528
    assert opened == []


@pytest.mark.requirement("21", "28")
@pytest.mark.parametrize("place", range(66))
def test_no_character_can_be_replaced(place: int) -> None:
    """A token has one spelling: no other character does at any place."""
    alphabet = {chr(code) for code in range(512)} | {"\u0661", "\uff11", "\u2024", "\ud800", "\U0001f36a"}

    verdicts = {
        tokens.verify(BOTH, TOKEN[:place] + character + TOKEN[place + 1 :])
        for character in alphabet - {TOKEN[place]}
    }

    assert verdicts <= {"malformed", "unknown_key", "bad_mac"}


@pytest.mark.requirement("21")
@pytest.mark.parametrize("length", [*range(66), 67, 68, 132, 4096, 1 << 20])
def test_no_other_length_is_a_token(length: int) -> None:
    """The length is checked before anything is computed."""
    key = CountingKey(SECRET)
    candidate = (TOKEN * (length // 66 + 1))[:length]

    verdict = tokens.verify(Keyring(key), candidate)

    assert verdict == "malformed"
    assert key.macs == 0


@pytest.mark.requirement("21", "28")
@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ("0" + TOKEN[1:], "malformed"),
        ("2" + TOKEN[1:], "malformed"),
        ("v" + TOKEN[1:], "malformed"),
        ("\uff11" + TOKEN[1:], "malformed"),
        (TOKEN.replace("A", "\uff21"), "malformed"),
        (TOKEN.replace(".", "\u2024"), "malformed"),
        (TOKEN.replace(".", ":"), "malformed"),
        (TOKEN[:8] + TOKEN[9:] + ".", "malformed"),
        (TOKEN[:9] + "." + TOKEN[9:-1], "malformed"),
        ("1." + TOKEN[9:41] + "." + TOKEN[2:8] + "." + MAC, "malformed"),
        (TOKEN[:-1] + "\x00", "bad_mac"),
        (TOKEN[:-1] + "\xff", "malformed"),
        (TOKEN[:-1] + "\ud800", "malformed"),
        (TOKEN[:64] + "\r\n", "bad_mac"),
        (f'"{TOKEN[1:-1]}"', "malformed"),
        (TOKEN[:-2] + "==", "bad_mac"),
        (f"1.......{TOKEN[8:]}", "unknown_key"),
        (f"1.{'a' * 6}{TOKEN[8:]}", "unknown_key"),
        (f"1.{KID.upper()}{TOKEN[8:]}", "unknown_key"),
        (f"1.{OTHER_KEY.kid}{TOKEN[8:]}", "bad_mac"),
        (TOKEN[:42] + tokens.sign(OTHER_KEY, SESSION_ID)[42:], "bad_mac"),
        (TOKEN[:42] + tokens.sign(KEY, SESSION_ID[::-1])[42:], "bad_mac"),
        (TOKEN[:9] + SESSION_ID[::-1] + TOKEN[41:], "bad_mac"),
        (TOKEN[:42] + "A" * 24, "bad_mac"),
        (TOKEN.swapcase(), "unknown_key"),
    ],
)
def test_forgeries_are_refused_with_a_reason(forged: str, reason: str) -> None:
    """Each is told apart for the operator; none raises, not for non-ASCII text either."""
    assert tokens.verify(BOTH, forged) == reason


@pytest.mark.requirement("33")
@pytest.mark.parametrize(
    "mac",
    [
        lambda head: KEY.record_mac(head),
        lambda head: KEY.record_mac(len(head).to_bytes(4, "big") + head),
        lambda head: hmac.digest(SECRET.encode(), head, "sha256"),
        lambda head: hmac.digest(KEY.field_key(SESSION_ID), head, "sha256"),
    ],
    ids=["record MAC", "record MAC with length", "the secret itself", "field key"],
)
def test_a_mac_of_another_purpose_is_no_cookie(mac: Callable[[bytes], bytes]) -> None:
    """What one purpose signed opens nothing at another."""
    head = TOKEN[:41]
    forged = f"{head}.{base64.urlsafe_b64encode(mac(head.encode())[:18]).decode()}"

    assert tokens.verify(KEYRING, forged) == "bad_mac"


@pytest.mark.requirement("21")
def test_a_token_of_another_secret_is_refused() -> None:
    """Another application's cookie has a kid that is not known here."""
    assert tokens.verify(KEYRING, tokens.sign(OTHER_KEY, SESSION_ID)) == "unknown_key"


@pytest.mark.requirement("28")
@settings(max_examples=2000)
@given(
    st.one_of(
        st.text(),
        st.text(alphabet=st.characters(), min_size=66, max_size=66),
        st.text("".join(map(chr, range(128))), min_size=58, max_size=58).map(lambda rest: TOKEN[:8] + rest),
        st.text(min_size=24, max_size=24).map(lambda mac: TOKEN[:42] + mac),
        st.tuples(st.text(max_size=3), st.text(max_size=3)).map(lambda ends: TOKEN.join(ends)),
    )
)
def test_verify_is_total(text: str) -> None:
    """Any text is refused with a reason and without an exception; only the token opens."""
    verdict = tokens.verify(BOTH, text)

    if text == TOKEN:
        assert verdict == (SESSION_ID, TOKEN[2:8])
    else:
        assert verdict in ("malformed", "unknown_key", "bad_mac")


# -- many keys ------------------------------------------------------------------------------


@pytest.mark.requirement("29")
def test_verification_tries_one_key_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One MAC and one comparison in constant time with 100 keys; none for an unknown kid."""
    keys = [CountingKey(new_secret()) for _ in range(100)]
    keyring = Keyring(keys[0], keys[1:])
    compared = []
    compare = hmac.compare_digest

    def compare_digest(ours: Any, theirs: Any) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    genuine = tokens.sign(keys[57], SESSION_ID)
    for key in keys:
        key.macs = 0

    verdicts = [tokens.verify(keyring, token) for token in (genuine, genuine[:-1] + "!", TOKEN, "x" * 66)]

    assert verdicts == [
        (SESSION_ID, keys[57].kid),
        "bad_mac",
        "unknown_key",
        "malformed",
    ]
    assert [key.macs for key in keys] == [0] * 57 + [2] + [0] * 42
    assert compared == [(24, 24)] * 2


@pytest.mark.requirement("30")
def test_the_signing_key_does_not_depend_on_the_order_of_the_others() -> None:
    """Shuffled a hundred times, new tokens always carry the signing kid (CVE-2025-47278)."""
    shuffler = random.Random(30)
    older = [Key(new_secret()) for _ in range(99)]

    signed = set()
    for _ in range(100):
        shuffler.shuffle(older)
        signed.add(tokens.sign(Keyring(KEY, older).signing, SESSION_ID))

    assert signed == {TOKEN}


@pytest.mark.requirement("30")
def test_older_keys_still_verify_and_removed_ones_do_not() -> None:
    """A rotation logs nobody out; taking a secret away ends what it signed."""
    before = tokens.sign(Keyring.from_secrets(OTHER_SECRET).signing, SESSION_ID)

    rotated = tokens.verify(Keyring.from_secrets([SECRET, OTHER_SECRET]), before)
    removed = tokens.verify(Keyring.from_secrets([SECRET]), before)

    assert rotated == (SESSION_ID, OTHER_KEY.kid)
    assert removed == "unknown_key"
