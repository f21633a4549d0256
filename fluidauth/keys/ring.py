"""The keys in force: one signs, and the others verify what was signed before or will be next.

A ring from a file follows it. At most once per interval, one ``stat`` says whether the
file was replaced. An unknown key id asks for an early look, at most once a second. All or
nothing: a file that cannot be trusted leaves the ring as it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from fluidauth.errors import ConfigError, WeakSecret
from fluidauth.secrecy import HoldsSecrets, without_locals

from . import file as keyfile
from .document import KeyDocument, KeyState
from .follower import RELOAD_INTERVAL, Follower, KeyringListener
from .key import Key, NoKey
from .named import WITHOUT_ONE, NamedSecrets, numbered
from .strength import NEW_SECRET_COMMAND, is_substitution

SECRET_VARIABLES = ("FLUIDAUTH_SECRET", "FLUIDAUTH_SECRETS", "FLUIDAUTH_KEYRING")
_NONE: frozenset[str] = frozenset()


class Keyring(HoldsSecrets):
    """One signing key, and others that verify. From a file, they change while the ring is in use.

    ``by_kid`` has the keys that verify. It is another dict after each change of a key's state.
    ``stale`` has the ids of the keys whose cookies and rows must move to the signing key.
    ``revoked`` has the ids of keys that open nothing any more. Raise :class:`ConfigError` if
    two secrets derive one ``kid``, or are the same.
    """

    __slots__ = ("__weakref__", "_file", "by_kid", "revoked", "signing", "stale")

    def __init__(self, signing: Key, verifying: Iterable[Key] = ()) -> None:
        self._file: Follower | None = None
        self.signing: Key = signing
        verifying = list(verifying)
        self.by_kid: dict[str, Key] = {}
        for key in (signing, *verifying):
            if key.kid in self.by_kid:
                raise ConfigError(f"two secrets have the key id {key.kid!r}; remove the one given twice")
            self.by_kid[key.kid] = key
        self.stale: frozenset[str] = frozenset(key.kid for key in verifying)
        self.revoked: frozenset[str] = _NONE

    @classmethod
    @without_locals
    def from_secrets(cls, secrets: str | bytes | Iterable[str | bytes] | NamedSecrets) -> Keyring:
        """Build a keyring from one secret or several, newest first: the first one signs.

        A single ``str`` is one secret, never a list of characters. Raise
        :class:`ConfigError` for a weak secret.
        """
        named = secrets if isinstance(secrets, NamedSecrets) else NamedSecrets(secrets)
        problem = named.problem()
        if problem:
            raise WeakSecret(problem)
        keys = [Key(secret) for secret in named.secrets]
        return cls(keys[0], keys[1:])

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Keyring:
        """Build a keyring from ``FLUIDAUTH_SECRET``, ``FLUIDAUTH_SECRETS`` or ``FLUIDAUTH_KEYRING``.

        The second holds several secrets, newest first, separated by white space. The third is
        the path of a keyring file. Raise :class:`ConfigError` unless exactly one is set.
        """
        one, several, path = map(environ.get, SECRET_VARIABLES)
        name = SECRET_VARIABLES[0] if one else SECRET_VARIABLES[1]
        given = [one] if one else _parted(several)
        commas = bool(several) and any("," in each and not is_substitution(each) for each in given)
        count = sum(map(bool, (one, several, path)))
        del environ, one, several  # a traceback that prints locals must not show them
        if count > 1:
            given.clear()
            raise ConfigError("set only one of FLUIDAUTH_SECRET, FLUIDAUTH_SECRETS and FLUIDAUTH_KEYRING")
        if path:
            return cls.from_file(path)
        if commas:
            given.clear()
            raise ConfigError(
                "FLUIDAUTH_SECRETS has a comma: separate secrets by spaces; put a secret with a comma in it "
                "into FLUIDAUTH_SECRET or a keyring file"
            )
        if not given:
            raise WeakSecret(
                "no secret: pass secret=, set FLUIDAUTH_KEYRING to a keyring file, "
                f"or FLUIDAUTH_SECRET to one made with\n    {NEW_SECRET_COMMAND}\n{WITHOUT_ONE}"
            )
        try:
            return cls.from_secrets(NamedSecrets(given, numbered(name, len(given))))
        finally:
            given.clear()

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        interval: float = RELOAD_INTERVAL,
        trust_mount: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> Keyring:
        """Build a keyring that follows the file at *path*, which ``fluidauth keys`` writes.

        A change takes effect at most *interval* seconds later in every process, at its next use
        of a session. With *trust_mount* others may read the file, as in secrets that Kubernetes
        and Docker mount. The function *clock* returns seconds that never go back. Raise
        :class:`ConfigError` for a file that is missing, unsafe, malformed or without a signing
        key. If that happens later, it is reported (event ``keyring_rejected``) and changes nothing.
        """
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval <= 3600:
            raise ConfigError(f"interval={interval!r} must be above 0 and at most 3600 seconds")
        followed = Follower(Path(path).absolute(), interval, trust_mount, clock)
        document, followed.stamp = keyfile.read(followed.path, trust_mount=trust_mount)
        if document.signing is None:
            raise ConfigError(f"keyring file {path} has no signing key; promote one")
        ring = cls(NoKey())
        ring._install(document)
        followed.accept(document)
        ring._file = followed
        return ring

    def find(self, kid: str) -> Key | None:
        """Return the key named *kid*, or None. If it is unknown, look at the file first."""
        key = self.by_kid.get(kid)
        if key is None and self._file is not None and kid not in self.revoked:
            self._file.look_early(self._install)
            key = self.by_kid.get(kid)
        return key

    def verifying_keys(self) -> tuple[Key, ...]:
        """Return the keys that verify, the signing one among them."""
        return tuple(self.by_kid.values())

    def refresh(self) -> None:
        """Follow the file if the interval has passed. If not, this only reads the clock."""
        followed = self._file
        if followed is not None and followed.clock() >= followed.look_at:
            followed.look(self._install, may_wait=False)

    def report_to(self, listener: KeyringListener) -> None:
        """Report to *listener*, as long as it exists, when the file was reloaded or rejected."""
        if self._file is not None:
            self._file.listeners.add(listener)

    @property
    def path(self) -> Path | None:
        """The file that this ring follows."""
        return self._file.path if self._file else None

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of all keys that verify, the signing one first."""
        others = [kid for kid in self.by_kid if kid != self.signing.kid]
        return (self.signing.kid, *others) if self.signing.kid in self.by_kid else tuple(others)

    def state_of(self, kid: str) -> KeyState | Literal["unknown"]:
        """Return ``pending``, ``signing``, ``verifying``, ``revoked`` or ``unknown``."""
        if kid in self.revoked:
            return "revoked"
        if kid not in self.by_kid:
            return "unknown"
        return "signing" if kid == self.signing.kid else "verifying" if kid in self.stale else "pending"

    def __repr__(self) -> str:
        verifying = [kid for kid in self.kids if kid != self.signing.kid]
        return f"<Keyring signing={self.signing.kid} verifying={verifying}>"

    def _install(self, document: KeyDocument) -> None:
        """Put the keys of *document* in force; those that are in force already are kept."""
        keys = {
            entry.kid: self.by_kid.get(entry.kid) or Key(entry.secret)
            for entry in document.entries
            if entry.secret is not None
        }
        signing = document.signing
        states = document.states
        # Each of these is replaced as a whole, the keys first: another thread may be in the
        # middle of a request, and must find the key that signs.
        self.by_kid = keys
        self.revoked = frozenset(kid for kid, state in states.items() if state == "revoked")
        self.signing = keys[signing.kid] if signing else NoKey()
        # Without a signing key nothing can be signed again.
        self.stale = frozenset(kid for kid in keys if states[kid] == "verifying") if signing else _NONE


def _parted(several: str | None) -> list[str]:
    """Return the secrets of a variable that has several. A command in it has its own spaces."""
    if not several:
        return []
    return [several] if is_substitution(several) else several.split()


def variables_set() -> list[str]:
    """Return which variables of the environment say where our own secrets are."""
    return [name for name in SECRET_VARIABLES if os.environ.get(name)]
