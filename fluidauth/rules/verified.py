"""What was verified a moment ago, so that the same bytes are not verified again.

A token that is not genuine is never kept, nor one without a live session. So nobody can fill this memory from
outside. Tokens are looked up by a hash of the whole token. Equal bytes are compared only if all its bits are
the same. So the time it takes says nothing about parts of a token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fluidauth.after_fork import renew_in_child
from fluidauth.formats.json_values import CONTAINERS, decode, encode
from fluidauth.formats.payloads import Sealer, sealed_by
from fluidauth.keys import Key
from fluidauth.recent import Recent
from fluidauth.records import Body, SessionRecord, Tombstone
from fluidauth.secrecy import HoldsSecrets
from fluidauth.session.wish import Credential, Presented

MAX_TOKEN_BYTES = 4 * 1024 * 1024
MAX_HEADER_BYTES = 2 * 1024 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
_HEADER_BYTES = 300  # what the place of a header takes besides its text
_LONGEST_HEADER = 2_048  # characters
_TOKEN_BYTES = 700  # what one credential takes with its key, and its place in a dict
_BODY_BYTES = 1_000  # what one body takes besides its fields, which take twice the bytes of their payload

Keys = dict[str, Key]


class _Opened(NamedTuple):
    """A record whose MAC is right, and what it says."""

    record: SessionRecord
    fields: dict[str, Any] | None
    """Without lists and dicts; None if they are read each time, because some are encrypted."""
    nested: str
    """JSON of the lists and dicts by their names, of which each request gets its own; or nothing."""
    rest: tuple[Any, ...]
    """What a ``Body`` has after its fields."""

    def __repr__(self) -> str:
        return f"<_Opened {self.record.handle}>"


class Verified(HoldsSecrets):
    """The tokens and records of one engine that were genuine, under the keys that verify now.

    All of it is forgotten when a key changes its state, in a forked child, and by :meth:`forget`.
    """

    __slots__ = ("__weakref__", "_bodies", "_credentials", "_headers", "_keyring", "_sealer")

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._keyring = sealer.keyring
        self.forget()
        renew_in_child(self, Verified.forget)

    def forget(self) -> None:
        """Forget everything."""
        keys = self._keyring.by_kid
        self._credentials = Recent[Keys, Presented, Credential](keys, MAX_TOKEN_BYTES)
        self._headers = Recent[Keys, tuple[tuple[str, ...], str], Credential](keys, MAX_HEADER_BYTES)
        self._bodies = Recent[Keys, str, _Opened](keys, MAX_BODY_BYTES)

    def _follow(self) -> None:
        """Forget what was verified under other keys than those that verify now."""
        keys = self._keyring.by_kid
        self._credentials = self._credentials.emptied(keys)
        self._headers = self._headers.emptied(keys)
        self._bodies = self._bodies.emptied(keys)

    def credential(self, presented: Presented) -> Credential | None:
        """Return the credential that was *presented*; None if it must be verified."""
        known = self._credentials
        if known.label is not self._keyring.by_kid:
            self._follow()
            return None
        return known.younger.get(presented) or known.older.get(presented)

    def in_header(self, names: tuple[str, ...], header: str) -> Credential | None:
        """Return the credential that is the only one under *names* in a *header*, if that is known."""
        known = self._headers
        if known.label is not self._keyring.by_kid:
            return None
        key = names, header
        return known.younger.get(key) or known.older.get(key)

    def keep_header(self, names: tuple[str, ...], header: str, credential: Credential) -> None:
        """Keep that *credential*, which is kept itself, is the only one under *names* in *header*.

        Only a short header that comes often is kept, and it takes no room from tokens. Other cookies in a
        header may change each time.
        """
        known, key = self._headers, (names, header)
        if (
            len(header) <= _LONGEST_HEADER
            and known.comes_often(key)
            and self._verifies(known, credential.kid)
        ):
            known.put(key, credential, _HEADER_BYTES + len(header))

    def keep(self, credential: Credential, record: SessionRecord, body: Body) -> None:
        """Keep *credential*, and what it has opened, if it comes often."""
        known, presented = self._credentials, credential.presented
        if presented is not None and known.comes_often(presented) and self._verifies(known, credential.kid):
            known.put(presented, credential, _TOKEN_BYTES)
            credential.is_kept = True
            self._keep(record, body)

    def unseal(self, record: SessionRecord) -> Body | Tombstone:
        """Do as :meth:`Sealer.unseal`, but verify nothing that was verified before.

        No two calls return the same mutable value.
        """
        if self._bodies.label is not self._keyring.by_kid:
            self._follow()
        opened = self._bodies.find(record.handle)
        if opened is not None and opened.record == record:
            if opened.fields is None:
                return self._sealer.read(record)
            fields = opened.fields.copy()
            if opened.nested:
                fields.update(decode(opened.nested))
            return tuple.__new__(Body, (fields, *opened.rest))
        body = self._sealer.unseal(record)
        if isinstance(body, Body):
            self._keep(record, body)
        return body

    def _keep(self, record: SessionRecord, body: Body) -> None:
        known = self._bodies
        if self._verifies(known, sealed_by(record)):
            known.put(record.handle, _opened(record, body), 2 * len(record.payload) + _BODY_BYTES)

    def _verifies(self, known: Recent[Keys, Any, Any], kid: str) -> bool:
        """Return whether a key still verifies. It may have been revoked since it did."""
        return known.label is self._keyring.by_kid and kid in known.label


def _opened(record: SessionRecord, body: Body) -> _Opened:
    if body.locked:
        return _Opened(record, None, "", ())
    nested = {name: value for name, value in body.fields.items() if isinstance(value, CONTAINERS)}
    fields = {**body.fields, **dict.fromkeys(nested)}
    return _Opened(record, fields, encode(nested) if nested else "", body[1:])
