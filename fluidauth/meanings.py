"""What each event means to an operator: its level, and a sentence in plain words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

EventName = Literal[
    "session_created",
    "session_adopted",
    "session_renewed",
    "session_expired",
    "session_logout",
    "session_revoked",
    "impersonation_begun",
    "impersonation_ended",
    "revoke_failed",
    "cookie_rejected",
    "token_rejected",
    "cookie_insecure",
    "development_mode",
    "cross_origin",
    "cookie_conflict",
    "session_replaced",
    "cache_overridden",
    "clock_skew",
    "write_dropped",
    "record_tampered",
    "ambiguous",
    "store_error",
    "keyring_reloaded",
    "keyring_rejected",
]


class Meaning(NamedTuple):
    """What an event says to the operator, in a sentence; some reasons have a sentence of their own."""

    level: int
    sentence: str
    reasons: Mapping[str, str] = MappingProxyType({})
    with_reason: int | None = None
    """The level of those with a reason, where that is another."""


_REFUSED = {
    "malformed": "The {} is not one of ours: it was cut off, changed or made up.",
    "unknown_key": (
        "The {} was signed with a key that this process does not have: give all processes the same secrets."
    ),
    "revoked_key": "The {} was signed with a key that was revoked.",
    "bad_mac": "The signature of the {} is wrong: it was changed or forged.",
    "unknown_id": (
        "The {} is genuine, but the store has no such session: it was logged out or expired, or this is "
        "another database."
    ),
}

MEANINGS: dict[EventName, Meaning] = {
    "session_created": Meaning(
        logging.INFO,
        "A session was stored for the first time.",
        {"login": "A user signed in, and a session from before was replaced."},
    ),
    "session_adopted": Meaning(logging.INFO, "A session of a former system goes on here."),
    "session_renewed": Meaning(logging.INFO, "The session has a new id, and the old one opens nothing."),
    "session_expired": Meaning(
        logging.INFO, "The session had expired: it was idle for too long, or reached its absolute timeout."
    ),
    "session_logout": Meaning(
        logging.INFO,
        "The session was logged out.",
        {"emptied": "The session of a visitor lost its last field, so it was deleted."},
    ),
    "session_revoked": Meaning(
        logging.INFO,
        "Sessions were ended from outside of their own requests.",
        {"late": "The store works again, and a session that could not be ended before has ended."},
    ),
    "impersonation_begun": Meaning(
        logging.INFO, "A user began to act in the name of another one, for the reason given."
    ),
    "impersonation_ended": Meaning(logging.INFO, "A user does not act in the name of another one any more."),
    "revoke_failed": Meaning(
        logging.ERROR,
        (
            "The store could not end a session. This process refuses the session, and tries again until it "
            "has ended."
        ),
    ),
    "cookie_rejected": Meaning(
        logging.INFO,
        "A cookie opened no session.",
        {
            **{reason: sentence.format("cookie") for reason, sentence in _REFUSED.items()},
            "replaced": (
                "The browser sent the cookie from before a login or regenerate(), and that opens nothing."
            ),
            "actor_gone": "The session of the user who acted in another's name has ended, so this has.",
            "too_long": "The Cookie header is longer than 64 KiB, so nothing in it was used.",
            "too_many": "The Cookie header has more than four cookies of our name, so none was used.",
            "old_system": "The cookie of the former system is forged, expired or unknown there.",
            "too_large": (
                "The session of the former system is larger than max_payload, so it was not adopted."
            ),
            "unstorable": (
                "The session of the former system has a value that is not JSON, or a user id that is not "
                "valid, so it was not adopted."
            ),
        },
    ),
    "token_rejected": Meaning(
        logging.INFO,
        "A client token opened no session.",
        {reason: sentence.format("client token") for reason, sentence in _REFUSED.items()},
    ),
    "cookie_insecure": Meaning(
        logging.WARNING,
        (
            "A Secure cookie was sent over plain http to a client that drops it: use https, and tell the "
            "server which proxy it can trust."
        ),
    ),
    "development_mode": Meaning(
        logging.INFO,  # in addition to a warning that says where the secret is
        "Development mode is on: only requests from this machine are served.",
        {"refused": "Development mode refused a request that came from elsewhere."},
        logging.WARNING,
    ),
    "cross_origin": Meaning(
        logging.WARNING,
        (
            "A page of another origin made a request under our cookie. It is refused if cross_origin is "
            "'block'."
        ),
        {
            "login": (
                "A page of another origin wanted to sign somebody in. It may not if cross_origin is 'block'."
            ),
            "socket": (
                "A page of another origin opened a WebSocket under our cookie. It is refused if cross_origin "
                "is 'block'."
            ),
        },
    ),
    "cookie_conflict": Meaning(
        logging.WARNING,
        (
            "The application, or one that is mounted in it, sets a cookie of our name: give one of the two "
            "another name."
        ),
    ),
    "session_replaced": Meaning(
        logging.INFO, "Another session middleware inside ours took the place of our session: remove it."
    ),
    "cache_overridden": Meaning(
        logging.WARNING,
        (
            "The application let caches store a response that sets the session cookie. Its Cache-Control "
            "was replaced by no-store."
        ),
    ),
    "clock_skew": Meaning(
        logging.WARNING,
        "The session was created in the future, so it was refused: set the clocks of the servers.",
    ),
    "write_dropped": Meaning(
        logging.WARNING,
        "A change came too late and was dropped.",
        {
            "ended": "The session had ended before a slower request saved, so its changes were dropped.",
            "logged_in": (
                "A login took the place of the session before a slower request saved, so its changes were "
                "dropped."
            ),
            "replaced": (
                "The session had a new id before a slower request saved, so its changes were dropped."
            ),
            "key_revoked": (
                "The key of the cookie was revoked during the request, so its changes were dropped."
            ),
            "followed": "The session goes on under a new id, so a late change under the old id was dropped.",
            "revoked": "The user's sessions were ended while a login was under way, so it ended as well.",
        },
    ),
    "record_tampered": Meaning(
        logging.ERROR,
        "A record in the store was refused.",
        {
            "format": "A record in the store is not of a form that this version knows.",
            "unknown_key": "A record in the store was sealed with a key that this process does not have.",
            "revoked_key": "A record in the store was sealed with a key that was revoked.",
            "mac": "A record in the store was changed, or copied from another database.",
            "handle": "The store answered with the record of another session.",
        },
    ),
    "ambiguous": Meaning(
        logging.WARNING,
        (
            "Two cookies of our name open two sessions. One may have been planted, so neither counts until "
            "a login or logout."
        ),
    ),
    "store_error": Meaning(
        logging.ERROR,
        "The store failed. Requests that need their session get 503 until it answers.",
        {
            "refresh": (
                "The store failed during an update that can wait, such as a later expiry. The request went "
                "on."
            ),
            "clean": "The store failed while expired sessions were deleted. The next cleaning tries again.",
        },
    ),
    "keyring_reloaded": Meaning(logging.INFO, "The keyring file changed, and its keys are in force."),
    "keyring_rejected": Meaning(
        logging.ERROR, "The keyring file cannot be used, so the keys that were read before stay in force."
    ),
}
