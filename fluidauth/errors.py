"""Every error that fluidauth raises, sorted by whose fault it is.

A bad cookie is not an error: it is "no session". Messages say what happened,
to which value (never a secret) and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "CrossOriginError",
    "FieldError",
    "FieldFormatError",
    "FieldKeyMissing",
    "FieldTampered",
    "FluidAuthError",
    "FreshLoginRequired",
    "ImpersonationError",
    "KeyStateError",
    "NoSigningKey",
    "NoSuchSession",
    "NotEnded",
    "NotRedeemable",
    "NotSupported",
    "OutcomeUnknown",
    "PayloadError",
    "RecordExists",
    "RecordTampered",
    "Refusal",
    "SessionClosed",
    "SessionNotLoaded",
    "StoreBusy",
    "StoreError",
    "TooManyCookies",
    "UsageError",
]


class FluidAuthError(Exception):
    """Base of all errors raised by this package."""


# -- the operator's: found when the engine is built -----------------------------------


class ConfigError(FluidAuthError, ValueError):
    """A setting is wrong or unsafe; raised before the first request is served."""


class WeakSecret(ConfigError):
    """A secret is missing, or too weak to sign with; in development mode another one is used."""


class KeyStateError(ConfigError):
    """The state of a key does not allow what is asked for."""


# -- the application's: a call that cannot work ---------------------------------------


class PayloadError(FluidAuthError, ValueError):
    """A session field is not a JSON value, or the fields are too large or too deep."""


class SessionNotLoaded(FluidAuthError, RuntimeError):
    """The session is in a remote store, so asynchronous code must call ``aload()`` first."""


class SessionClosed(FluidAuthError, RuntimeError):
    """The change cannot be kept: the response head is sent, or the session has ended."""


class UsageError(FluidAuthError, RuntimeError):
    """A blocking call was made where only its asynchronous twin can work."""


class NoSuchSession(FluidAuthError, LookupError):
    """No live session has the handle that was given."""


class NotSupported(FluidAuthError, NotImplementedError):
    """The store does not offer this optional capability."""


# -- the visitor's: answered by a response of its own, unless the application catches them ----


class Refusal(FluidAuthError, PermissionError):
    """A request may not do what it asks for.

    Unless you catch this, ``status`` is that of the response, and ``told`` is what it says to the visitor.
    """

    status: int = 403
    told: str = "This is not allowed."

    def headers(self) -> dict[str, str]:
        """Return what the response says besides its status."""
        return {}


class FreshLoginRequired(Refusal):
    """The user must authenticate again, or by another method, or nobody is signed in. The response is 401.

    ``max_age`` is the greatest age of the login in seconds, and ``methods`` are those of which one is wanted.
    None and nothing mean that any login is enough. If the engine has a ``login_url`` and the request loads a
    page, ``location`` is the address of the page that asks for it, and the response leads there (303).
    """

    status: int = 401
    told: str = "Please sign in again, and repeat what you did."

    def __init__(
        self,
        message: str,
        max_age: int | None = None,
        methods: tuple[str, ...] = (),
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.max_age = max_age
        self.methods = methods
        self.location = location
        if location is not None:
            self.status = 303

    def headers(self) -> dict[str, str]:
        """Return where to go, or what to do: the error and its parameters are those of RFC 9470.

        A 401 must name a scheme (RFC 9110, section 15.5.2). Browsers ignore one that they do not know.
        """
        if self.location is not None:
            return {"Location": self.location}
        age = "" if self.max_age is None else f', max_age="{self.max_age}"'
        methods = f', acr_values="{" ".join(self.methods)}"' if self.methods else ""
        return {"WWW-Authenticate": f'Session error="insufficient_user_authentication"{age}{methods}'}


class CrossOriginError(Refusal):
    """A page of another origin made the request, or its form has no token of this session: 403."""

    told: str = "This was sent from another site, so it was not done. Please do it on a page of this site."


class ImpersonationError(Refusal):
    """This cannot be done in another user's name, or nobody acts in one: 403."""


class NotRedeemable(Refusal):
    """The one-time value is not one of this session for this purpose, or it was used, or is too old: 400."""

    status: int = 400
    told: str = "This was used already, or is too old. Please begin again."


REFUSALS: tuple[type[Refusal], ...] = (
    FreshLoginRequired,
    CrossOriginError,
    ImpersonationError,
    NotRedeemable,
)


# -- the environment's: the store is out of order -------------------------------------


class StoreError(FluidAuthError):
    """The store could not answer; the cause is the driver's own error."""


class StoreBusy(StoreError):
    """Another process or thread kept the store locked for longer than the time limit."""


class OutcomeUnknown(StoreError):
    """A change may have been made or not: the answer was lost, and others changed the session since."""

    def __init__(self) -> None:
        super().__init__(
            "the store's answer to a change was lost, and others have changed the session since. "
            "The change may have been made, and is not tried again; reload the session to find out"
        )


class NoSigningKey(StoreError):
    """Nothing can be stored: the signing key was revoked, and no other key was promoted."""


class NotEnded(StoreError):
    """A session may still be live after a logout: the store failed before its record was removed.

    ``handles`` maps each handle that was presented to the handle of the record that is left.
    """

    def __init__(self, handles: dict[str, str]) -> None:
        super().__init__("the session could not be ended")
        self.handles = handles


class RecordExists(FluidAuthError):
    """A record with this handle is stored already, and ``create`` only inserts."""

    def __init__(self) -> None:
        super().__init__("a record with this handle is stored already")


# -- an attacker's, or a damaged disk's -----------------------------------------------


class RecordTampered(FluidAuthError):
    """A stored record is not one that a key of this keyring sealed.

    ``reason`` is one of ``format``, ``unknown_key``, ``revoked_key``, ``mac``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"stored session refused: {reason}")
        self.reason = reason


class TooManyCookies(FluidAuthError):
    """A logout came with more cookies of our name than we read: somebody planted them."""


class FieldError(FluidAuthError):
    """An encrypted field cannot be read; ``field`` names it.

    The text is the same for every cause, so that it teaches an attacker nothing.
    """

    def __init__(self, field: str) -> None:
        super().__init__(f"encrypted session field {field!r} cannot be read")
        self.field = field


class FieldTampered(FieldError):
    """The ciphertext was altered, or belongs to another field, session or key."""


class FieldFormatError(FieldError):
    """The stored text is not an envelope of a known version."""


class FieldKeyMissing(FieldError):
    """The key that encrypted the field is no longer in the keyring."""
