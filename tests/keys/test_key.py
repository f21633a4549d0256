"""What is derived from a secret: one subkey for each purpose."""

from __future__ import annotations

import pytest

from fluidauth.keys import Key, new_secret
from tests.keys.secrets import GOOD, OTHER, OWN_FORM


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
