"""The life of a cookie: what the browser has, what the store has, and what each response says."""

from __future__ import annotations

from typing import NamedTuple

from fluidauth import CookieOptions
from fluidauth.engine.settings import DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_IDLE_TIMEOUT
from fluidauth.rules.versions import TOMBSTONE_SECONDS

from .drawing import MARGIN, WIDTH, Kind, Look, Picture

Lines = list[tuple[str, Look]]


class Moment(NamedTuple):
    """One request, and what is there after its response."""

    what: str
    browser: Lines
    store: Lines
    sent: bool
    """Whether the request brings a cookie."""
    answer: str
    """What the response says of the cookie; empty if nothing."""
    kinds: tuple[Kind, Kind] = ("soft", "soft")


MOMENTS = (
    Moment("A visitor comes", [("no cookie", "muted")], [("nothing", "muted")], False, "", ("gone", "gone")),
    Moment(
        "The first change begins a session",
        [("id A", "heading"), ("signed by key 1", "muted")],
        [("record of A", "heading"), ("the fields, sealed", "muted")],
        False,
        "Set-Cookie",
        ("tint", "tint"),
    ),
    Moment(
        "A read sets no cookie",
        [("id A", "plain"), ("as before", "muted")],
        [("record of A", "plain"), ("idle deadline moves", "muted")],
        True,
        "",
    ),
    Moment(
        "A login changes the id",
        [("id B", "heading"), ("signed by key 1", "muted")],
        [("record of B", "heading"), (f"A: tombstone, {TOMBSTONE_SECONDS} s", "muted")],
        True,
        "Set-Cookie",
        ("tint", "tint"),
    ),
    Moment(
        "After a rotation the next use signs it again",
        [("id B", "plain"), ("signed by key 2", "heading")],
        [("record of B", "plain"), ("sealed by key 2", "heading")],
        True,
        "Set-Cookie",
        ("tint", "tint"),
    ),
    Moment(
        "A logout ends it",
        [("no cookie", "muted"), ("a copy opens nothing", "muted")],
        [("record removed", "plain"), ("for good", "muted")],
        True,
        "Max-Age=0",
        ("gone", "gone"),
    ),
)

BOX, HIGH, STEP, TOP = 152, 50, 96, 132
RIGHT = WIDTH - MARGIN - BOX


def draw() -> str:
    """Return the picture."""
    picture = Picture(
        "The life of a cookie",
        "Six requests, one below the other. On the left what the browser has, on the right what the store "
        "has, between them whether the response sets the cookie: at the first change, at a login, after a "
        "rotation and at a logout; never at a read.",
    )
    picture.text((MARGIN, 57), CookieOptions().name, "code")
    picture.text((MARGIN + BOX / 2, 92), "the browser has", "muted", "middle")
    picture.text((RIGHT + BOX / 2, 92), "the store has", "muted", "middle")
    for number, moment in enumerate(MOMENTS):
        _draw(picture, moment, number, TOP + STEP * number)
    y = TOP + STEP * len(MOMENTS)
    picture.line([(MARGIN, y - 16), (WIDTH - MARGIN, y - 16)], "faint", head=False)
    picture.text((MARGIN, y + 8), "Without a logout it expires", "heading")
    idle, absolute = DEFAULT_IDLE_TIMEOUT // 3600, DEFAULT_ABSOLUTE_TIMEOUT // 3600
    picture.text((MARGIN, y + 30), f"after {idle} h without use", "plain")
    picture.text((MARGIN + 170, y + 30), "idle timeout, moved by each use", "muted")
    picture.text((MARGIN, y + 50), f"{absolute} h after the login", "plain")
    picture.text((MARGIN + 170, y + 50), "absolute timeout, moved by no use", "muted")
    return picture.render(y + 68)


def _draw(picture: Picture, moment: Moment, number: int, y: float) -> None:
    picture.badge((MARGIN + 11, y - 12), str(number + 1))
    picture.text((MARGIN + 30, y - 7.5), moment.what, "heading")
    y += 6
    picture.box((MARGIN, y), (BOX, HIGH), moment.browser, moment.kinds[0])
    picture.box((RIGHT, y), (BOX, HIGH), moment.store, moment.kinds[1])
    left, right, middle = MARGIN + BOX + 6, RIGHT - 6, WIDTH / 2
    picture.line([(left, y + 17), (right, y + 17)], "" if moment.sent else "dashed")
    picture.text((middle, y + 11), "cookie" if moment.sent else "no cookie", "muted", "middle")
    picture.line([(right, y + 30), (left, y + 30)], "accent" if moment.answer else "dashed")
    answer: Look = "accent" if moment.answer else "muted"
    picture.text((middle, y + 46), moment.answer or "no cookie", answer, "middle", room=right - left + 8)
