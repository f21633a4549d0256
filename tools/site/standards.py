"""What two standards ask of sessions, row by row, and which promises answer it.

The rows paraphrase OWASP ASVS 5.0 (chapter 7, and what 3.5 and 4.4 ask of requests) and NIST
SP 800-63B-4 (section 5); read the originals for their exact words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Answer = Literal["yes", "in part", "no", "yours"]


class Row(NamedTuple):
    """One requirement; *promises* are numbers of the checklist in ``docs/security.md``."""

    number: str
    asks: str
    answer: Answer
    promises: tuple[str, ...]
    note: str


ASVS = (
    Row(
        "7.1.1 (L2)",
        "Timeouts are documented, with reasons where they differ from SP 800-63B.",
        "yes",
        ("10", "61"),
        "The engine's defaults are those of AAL2: see [Timeouts](security.md#timeouts). "
        "Document your own values.",
    ),
    Row(
        "7.1.2 (L2)",
        "The number of parallel sessions of an account is documented, with what happens at the limit.",
        "in part",
        ("23",),
        "There is no limit. Sessions can be listed and revoked.",
    ),
    Row(
        "7.1.3 (L2)",
        "Systems that share a login are documented, with how their sessions end together.",
        "yours",
        (),
        "fluidauth does not federate logins.",
    ),
    Row(
        "7.2.1 (L1)",
        "A trusted backend verifies every session token.",
        "yes",
        ("21", "29", "51"),
        "The signature is verified first, then the store is asked.",
    ),
    Row("7.2.2 (L1)", "Tokens are made for each session; static keys are not used.", "yes", ("1", "2"), ""),
    Row("7.2.3 (L1)", "Reference tokens are random, with at least 128 bits.", "yes", ("1",), "192 bits."),
    Row(
        "7.2.4 (L1)",
        "A login, and a repeated login, makes a new token and ends the old one.",
        "in part",
        ("3", "66"),
        "`login()` and `confirm()` do it. A field does it if the engine knows its name.",
    ),
    Row(
        "7.3.1 (L2)",
        "A session ends after a time without use.",
        "yes",
        ("7", "9", "76"),
        (
            "What a page asks for by itself does not count if it [says so](activity.md). Where Starlette's "
            "integration makes the engine there is none: make your own."
        ),
    ),
    Row("7.3.2 (L2)", "A session ends after an absolute time.", "yes", ("8",), ""),
    Row(
        "7.4.1 (L1)",
        "After a logout or timeout the session cannot be used any more.",
        "in part",
        ("4", "5", "7", "8"),
        "True for every request. A WebSocket or stream that is open stays open until it ends.",
    ),
    Row(
        "7.4.2 (L1)",
        "All sessions end when an account is disabled or deleted.",
        "in part",
        ("23",),
        "Call `revoke_user()` there.",
    ),
    Row(
        "7.4.3 (L2)",
        "A user can end all other sessions after a password or another factor changed.",
        "yes",
        ("23", "78"),
        "Call `keep_only_this()` there, or leave the choice to the user. In Django a validator does it.",
    ),
    Row("7.4.4 (L2)", "Every page of a signed-in user has a visible logout.", "yours", (), ""),
    Row(
        "7.4.5 (L2)",
        "An administrator can end the sessions of one user or of all.",
        "yes",
        ("23",),
        "`fluidauth sessions revoke-user`, `revoke-all`, `revoke_user()`, `revoke_all()`.",
    ),
    Row(
        "7.5.1 (L2)",
        "Users sign in again before they change sensitive attributes of the account.",
        "yes",
        ("24", "77"),
        "Call `require()` there. It knows when the user signed in, and by what.",
    ),
    Row(
        "7.5.2 (L2)",
        "Users can see their sessions, and end any of them after they signed in again.",
        "in part",
        ("23", "24"),
        (
            "`list_sessions()`, `delete_session()` and `require_fresh()`. Keep device and place in fields. "
            "The page is yours."
        ),
    ),
    Row(
        "7.5.3 (L3)",
        "A further factor is required before very sensitive operations.",
        "yes",
        ("77",),
        '`require(within=300, method="otp")` and `confirm()`. The factor is yours.',
    ),
    Row(
        "7.6.1 (L2)",
        "Sessions of a relying party and its identity provider end as documented.",
        "no",
        (),
        "fluidauth does not receive logouts of an identity provider yet.",
    ),
    Row(
        "7.6.2 (L2)",
        "A session begins only with the user's consent or action.",
        "in part",
        ("75", "80"),
        (
            'No other origin can sign anybody in with `cross_origin="block"`. A one-time value ties an '
            "answer to the browser that asked. What a provider does without a question is yours."
        ),
    ),
)

ORIGINS = (
    Row(
        "3.5.1 (L1)",
        "Requests of other origins to sensitive functions are refused (CSRF).",
        "yes",
        ("49", "74", "75"),
        'With `cross_origin="block"`: see [Requests of other origins](cross-origin.md).',
    ),
    Row(
        "3.5.2 (L1)",
        "If CORS preflights are the defence, no request can go without one.",
        "yes",
        ("74",),
        "They are not: a request that needs no preflight is looked at as any other.",
    ),
    Row(
        "3.5.3 (L1)",
        "Sensitive functions use methods that are not safe, or look at `Sec-Fetch-*`.",
        "in part",
        ("74", "75"),
        "A login looks at them even in a GET. What else your pages do by GET is yours.",
    ),
    Row(
        "3.5.8 (L3)",
        "Resources of a signed-in user are embedded by others only where that is meant.",
        "in part",
        ("75",),
        (
            "Nobody is signed in by a frame or an image. Which pages others may embed is yours: "
            "`Cross-Origin-Resource-Policy` and `frame-ancestors`."
        ),
    ),
    Row(
        "4.4.2 (L2)",
        "The handshake of a WebSocket checks the origin.",
        "yes",
        ("74",),
        'With `cross_origin="block"`, before the application sees it.',
    ),
)

NIST = (
    Row("5.1", "The secret is made when the user signs in.", "yes", ("1", "3"), ""),
    Row("5.1", "An approved generator makes it, with at least 64 bits.", "yes", ("1",), "192 bits."),
    Row("5.1", "A logout erases or invalidates it.", "yes", ("4", "5"), ""),
    Row("5.1", "It times out, and is not accepted after that.", "yes", ("7", "8", "9"), ""),
    Row(
        "5.1",
        "It travels through protected channels only.",
        "in part",
        ("11", "16"),
        "Secure with an engine of your own. Otherwise set the framework's own option.",
    ),
    Row(
        "5.1",
        "It should not be persistent.",
        "in part",
        ("10",),
        "The cookie lives until the absolute deadline. Set `CookieOptions(persistent=False)` to follow this.",
    ),
    Row(
        "5.1",
        "Requests that change something carry a value of the session that the server verifies (CSRF).",
        "in part",
        ("49", "74"),
        (
            '`cross_origin="block"` goes by what browsers say of the origin. `csrf_token()` is such a '
            "value, if you put it into your forms."
        ),
    ),
    Row(
        "5.1",
        "It is never treated as proof of a higher assurance level.",
        "yes",
        ("24", "77"),
        (
            "`require()` goes by methods and times that are sealed in the record. Which of them make a level "
            "is yours."
        ),
    ),
    Row(
        "5.1.1",
        "Cookies are Secure.",
        "in part",
        ("11",),
        "With an engine of your own. Otherwise set the framework's own option.",
    ),
    Row(
        "5.1.1",
        "Cookies are valid for the fewest hosts and paths that work.",
        "yes",
        ("11", "12"),
        "`__Host-`.",
    ),
    Row("5.1.1", "Cookies are HttpOnly.", "yes", ("11",), ""),
    Row(
        "5.1.1",
        "Cookies expire at, or soon after, the end of the session.",
        "in part",
        ("10", "13", "14"),
        "The cookie ends at the absolute deadline. After an idle timeout it stays, and opens nothing.",
    ),
    Row(
        "5.1.1",
        "Cookies have the prefix `__Host-`, and SameSite Lax or Strict.",
        "in part",
        ("11",),
        "With an engine of your own.",
    ),
    Row("5.1.1", "Cookies hold an opaque value and no personal data.", "yes", ("1", "25"), ""),
    Row(
        "5.1.2",
        "An access token is not proof that the user is present.",
        "yours",
        ("38", "51"),
        "Keep tokens of other services in encrypted fields.",
    ),
    Row(
        "5.2",
        "Users sign in again at the latest after the overall time of their assurance level.",
        "yes",
        ("8", "10"),
        "24 hours with an engine of your own (AAL2). `absolute_timeout` sets another.",
    ),
    Row(
        "5.2",
        "Users sign in again after the inactivity time of their assurance level.",
        "yes",
        ("7", "10"),
        "One hour with an engine of your own (AAL2). `idle_timeout` sets another.",
    ),
    Row("5.2", "The session secret alone never extends these times.", "yes", ("8", "9"), ""),
    Row("5.3", "Sessions may be monitored for signs of fraud.", "no", (), "Nothing is recorded for that."),
)
