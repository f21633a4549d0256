"""The states of a key, and the commands that move it; ``tests/test_pictures.py`` performs each arrow."""

from __future__ import annotations

from itertools import pairwise

from fluidauth.keys.document import KeyState

from .drawing import MARGIN, WIDTH, Kind, Look, Picture

STATES: dict[KeyState, tuple[str, bool, bool]] = {
    "pending": ("new; every process learns it", True, False),
    "signing": ("exactly one key; at most a year", True, True),
    "verifying": ("a former key; what is under it moves on", True, False),
    "revoked": ("its secret is erased; opens nothing", False, False),
}
"""What a state is for, whether a key in it verifies, and whether it signs."""

MOVES: dict[tuple[KeyState | None, KeyState], str] = {
    (None, "pending"): "keys add",
    (None, "signing"): "keys add --create",
    ("pending", "signing"): "keys promote",
    ("signing", "verifying"): "keys promote",
    ("pending", "revoked"): "keys revoke",
    ("signing", "revoked"): "keys revoke --leaked",
    ("verifying", "revoked"): "keys revoke",
}
"""The command for each move that there is; None is before the file has the key."""

BOX, HIGH, STEP, TOP = 306, 66, 124, 112
LANE = WIDTH - MARGIN


def draw() -> str:
    """Return the picture."""
    picture = Picture(
        "The states of a key",
        "A key moves from pending to signing to verifying to revoked and never back. From each state it can "
        "be revoked. Commands of fluidauth are on the arrows.",
    )
    picture.text((MARGIN, 57), "A key moves down, and never back up.", "muted")
    centre = MARGIN + 40
    first = [(centre, TOP - 28), (centre, TOP)]
    picture.line(first, "accent")
    picture.text((centre + 12, TOP - 12), MOVES[None, "pending"], "code")
    for number, state in enumerate(STATES):
        _draw_state(picture, state, TOP + STEP * number)
    _draw_moves(picture, centre)
    bottom = TOP + STEP * 3 + HIGH
    picture.text((MARGIN, bottom + 32), MOVES[None, "signing"], "code")
    picture.text((MARGIN + 144, bottom + 32), "the first key of a file signs at once", "muted")
    return picture.render(bottom + 50)


def _draw_state(picture: Picture, state: KeyState, y: float) -> None:
    purpose, verifies, signs = STATES[state]
    kind: Kind = "tint" if signs else "soft" if verifies else "gone"
    picture.box((MARGIN, y), (BOX, HIGH), (), kind)
    picture.text((MARGIN + 14, y + 25), state, "heading")
    picture.text((MARGIN + 14, y + 50), purpose, "muted", room=BOX - 22)
    looks: tuple[Look, Look] = ("muted", "accent")
    picture.text((MARGIN + 150, y + 25), "✓ verifies" if verifies else "– verifies", looks[verifies])
    picture.text((MARGIN + 240, y + 25), "✓ signs" if signs else "– signs", looks[signs])


def _draw_moves(picture: Picture, centre: float) -> None:
    bottom, end = TOP + STEP * 3, MARGIN + BOX
    for state in ("pending", "signing"):
        y = TOP + STEP * list(STATES).index(state) + HIGH / 2
        picture.line([(end, y), (LANE, y), (LANE, bottom + HIGH / 2), (end, bottom + HIGH / 2)])
        command, _, option = MOVES[state, "revoked"].partition(" --")
        picture.text((end + 6, y - 8), command, "code")
        if option:
            picture.text((end + 6, y + 19), f"--{option}", "code")
    ends = {state: TOP + STEP * number for number, state in enumerate(STATES)}
    for before, after in pairwise(list(STATES)[:3]):
        y = ends[before] + HIGH
        picture.line([(centre, y), (centre, ends[after])], "accent")
        picture.text((centre + 12, y + 27), MOVES[before, after], "code")
    picture.text((centre + 12, ends["pending"] + HIGH + 46), "waits until every process knows it", "muted")
    picture.text((centre + 12, ends["signing"] + HIGH + 46), "when another key is promoted", "muted")
    y = ends["verifying"] + HIGH
    picture.line([(centre, y), (centre, bottom)])
    picture.text((centre + 12, y + 27), MOVES["verifying", "revoked"], "code")
    picture.text((centre + 12, y + 46), "when nobody depends on it", "muted")
