"""What a keyring file says: the states of its keys, their transitions, and what is no keyring."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import ConfigError, Keyring
from fluidauth.formats import tokens
from fluidauth.keys import new_secret
from fluidauth.keys.document import STATES, KeyDocument, KeyEntry, KeyState, parse
from fluidauth.keys.key import kid_of
from tests.keys.documents import FIRST, MALFORMED, NOW, SECOND, THIRD, write


def document(**secrets: KeyState) -> KeyDocument:
    """Return a document with a key in each of the states given, under the names given."""
    entries = []
    for state in secrets.values():
        secret = new_secret()
        entries.append(KeyEntry(kid_of(secret), state, NOW, NOW, None if state == "revoked" else secret))
    return KeyDocument(7, tuple(entries))


# -- states and their transitions --------------------------------------------------------------


def test_the_first_key_signs_and_the_next_ones_wait() -> None:
    """A new file can serve at once; what is added later verifies until it is promoted."""
    one = KeyDocument().added(FIRST, NOW)
    two = one.added(SECOND, NOW + 1)

    assert one.states == {kid_of(FIRST): "signing"}
    assert two.states == {kid_of(SECOND): "pending", kid_of(FIRST): "signing"}
    assert (one.serial, two.serial) == (1, 2)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("state", STATES)
def test_only_a_pending_key_is_promoted(state: KeyState) -> None:
    """Promotion makes the former signing key a verifying one, and a former key never signs again."""
    ring = document(signing="signing", other=state) if state != "signing" else document(other="signing")
    kid = ring.entries[-1].kid

    if state == "pending":
        after = ring.promoted(kid, NOW + 5)

        assert after.states == {ring.entries[0].kid: "verifying", kid: "signing"}
        assert [entry.changed for entry in after.entries] == [NOW + 5, NOW + 5]
        assert after.serial == ring.serial + 1
    else:
        with pytest.raises(ConfigError, match=f"key {kid} is {state}; only a pending key can be promoted"):
            ring.promoted(kid, NOW)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("state", ["pending", "verifying"])
def test_a_revoked_key_loses_its_secret(state: KeyState) -> None:
    """What is revoked stays in the file by name alone."""
    ring = document(signing="signing", other=state)
    kid = ring.entries[1].kid

    after = ring.revoked(kid, NOW + 5)

    assert after.find(kid) == KeyEntry(kid, "revoked", NOW, NOW + 5, None)
    assert after.signing == ring.signing


@pytest.mark.requirement("31")
def test_the_signing_key_is_not_revoked_without_a_successor() -> None:
    """Nothing could be signed any more; as leaked it is replaced in the same step."""
    ring = document(signing="signing", former="verifying")
    kid = ring.entries[0].kid

    with pytest.raises(ConfigError, match=f"key {kid} signs; promote another first"):
        ring.revoked(kid, NOW)
    after = ring.leaked(kid, SECOND, NOW + 5)
    other = ring.leaked(ring.entries[1].kid, SECOND, NOW + 5)

    assert after.states == {kid_of(SECOND): "signing", kid: "revoked", ring.entries[1].kid: "verifying"}
    assert after.serial == ring.serial + 1
    assert other.states == {kid: "signing", ring.entries[1].kid: "revoked"}


@pytest.mark.requirement("31")
def test_a_revoked_key_stays_revoked() -> None:
    """Neither is it revoked twice, nor does its secret come back."""
    ring = KeyDocument().added(FIRST, NOW).added(SECOND, NOW)
    ring = ring.revoked(kid_of(SECOND), NOW)

    with pytest.raises(ConfigError, match="is revoked already"):
        ring.revoked(kid_of(SECOND), NOW)
    with pytest.raises(ConfigError, match=f"key {kid_of(SECOND)} is in the keyring already, as revoked"):
        ring.added(SECOND, NOW)


def test_pruning_forgets_keys_revoked_long_ago() -> None:
    """Only revoked keys go, and only those revoked before the time given."""
    ring = document(signing="signing", former="verifying", coming="pending", gone="revoked")

    assert ring.pruned(NOW) is ring
    assert list(ring.pruned(NOW + 1).states.values()) == ["signing", "verifying", "pending"]
    assert ring.pruned(NOW + 1).serial == ring.serial + 1


def test_a_kid_that_is_not_there_is_named() -> None:
    """The message lists those that are."""
    ring = KeyDocument().added(FIRST, NOW)

    with pytest.raises(ConfigError, match=f"no key aaaaaa in the keyring; it has {kid_of(FIRST)}"):
        ring.promoted("aaaaaa", NOW)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_a_reload_accepts_no_way_back(before: KeyState, after: KeyState) -> None:
    """A file in which a key is in an earlier state than it was does not follow."""
    ring = KeyDocument(3, (KeyEntry("aaaaaa", after, NOW, NOW),))

    if STATES.index(after) >= STATES.index(before):
        ring.check_follows(2, {"aaaaaa": before})
    else:
        with pytest.raises(ConfigError, match=f"key aaaaaa was {before} and cannot become {after}"):
            ring.check_follows(2, {"aaaaaa": before})


# -- what the file may say ---------------------------------------------------------------------


@given(st.lists(st.sampled_from(["pending", "verifying", "revoked"]), max_size=5), st.integers(0, 2**53))
def test_written_document_is_read_back(states: list[KeyState], serial: int) -> None:
    """Every legal document survives the way through a file."""
    entries = document(**{f"key{n}": state for n, state in enumerate(["signing", *states])}).entries
    ring = KeyDocument(serial, entries)

    assert parse(ring.render()) == ring


@pytest.mark.requirement("35")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_stops_the_start(path: Path, kind: str) -> None:
    """Each is refused with its reason, and nothing of the content is shown, nor in frames of ours."""
    content, reason = MALFORMED[kind]
    write(path, content)

    with pytest.raises(ConfigError) as caught:
        Keyring.from_file(path)

    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in report.stack if "fluidauth" in Path(frame.filename).parts]
    told = "".join([str(caught.value), *(str(frame.locals) for frame in ours)])
    assert ours
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert not [secret for secret in (FIRST, SECOND, THIRD) if secret[6:] in told]


# -- what a rotation does to sessions ----------------------------------------------------------


def test_a_secret_has_one_kid_wherever_it_is_read_from(path: Path, tmp_path: Path) -> None:
    """From the environment, from a list and from a file."""
    by_file = Keyring.from_file(path)
    by_env = Keyring.from_env({"FLUIDAUTH_SECRET": FIRST})
    by_path = Keyring.from_env({"FLUIDAUTH_KEYRING": str(path)})

    assert {by_file.signing.kid, by_env.signing.kid, by_path.signing.kid} == {kid_of(FIRST)}
    token = tokens.sign(by_env.signing, tokens.new_session_id())
    assert tokens.verify(by_file, token)[1] == kid_of(FIRST)


def test_the_states_are_those_of_the_policy() -> None:
    """The order in which a key moves through them."""
    assert get_args(KeyState) == STATES == ("pending", "signing", "verifying", "revoked")
