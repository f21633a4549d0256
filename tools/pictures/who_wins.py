"""Who wins where two requests of one session overlap.

The table is the only source. The picture is drawn from it, and ``tests/behaviour/test_who_wins.py``
performs each of its cells.
"""

from __future__ import annotations

from .drawing import MARGIN, WIDTH, Kind, Look, Picture

ACTS = {"set": "sets", "add": "adds", "regenerate": "new id", "login": "login", "logout": "logout"}
"""What the later request does, by the name of its act: the head of its column."""

MEANWHILE = {
    "other_field": "other field",
    "same_field": "same field",
    "added": "an addition",
    "regenerated": "a new id",
    "logged_in": "a login",
    "logged_out": "a logout",
    "revoked": "revoked",
    "expired": "expired",
    "key_revoked": "key revoked",
}
"""What happened since it read its session: the label of the row."""

OUTCOMES: dict[str, tuple[str, str, Kind]] = {
    "both": ("both", "both changes are kept", "tint"),
    "later": ("later", "the later request's value counts", "tint"),
    "sum": ("sum", "it is added to what is stored", "tint"),
    "follows": ("follows", "it goes on under the new id, without a cookie", "tint"),
    "two": ("two", "two sessions live, each under its own cookie", "soft"),
    "fresh": ("fresh", "signed in, without the fields of what ended", "soft"),
    "keeps": ("keeps", "signed in, with the fields that it had read", "soft"),
    "ends": ("ends", "no session is left, under any id", "plain"),
    "dropped": ("dropped", "nothing is saved; event write_dropped", "gone"),
}
"""The word in the cell, what it means, and how it is drawn."""

_ROWS = {
    "other_field": "both    both    both    both  ends",
    "same_field":  "later   sum     both    both  ends",
    "added":       "later   sum     both    both  ends",
    "regenerated": "follows follows follows two   ends",
    "logged_in":   "dropped dropped dropped two   ends",
    "logged_out":  "dropped dropped dropped fresh ends",
    "revoked":     "dropped dropped dropped fresh ends",
    "expired":     "dropped dropped dropped fresh ends",
    "key_revoked": "dropped dropped dropped keeps ends",
}  # fmt: skip
TABLE = {
    (act, row): outcome
    for row, outcomes in _ROWS.items()
    for act, outcome in zip(ACTS, outcomes.split(), strict=True)
}
"""The outcome for each act and each thing that happened meanwhile."""

LEFT, TOP = 110, 122
CELL, HIGH = (WIDTH - MARGIN - LEFT) / len(ACTS), 34


def draw() -> str:
    """Return the picture."""
    picture = Picture(
        "Who wins when two requests overlap",
        "A table. Columns: what the later of two overlapping requests does. Rows: what happened to the "
        "session since that request read it. Cells: the outcome.",
    )
    picture.text((MARGIN, 56), "One has read the session. Before it saves, the other acts.", "muted")
    picture.text((LEFT + 2, 86), "The later request", "heading")
    picture.text((MARGIN, 110), "Meanwhile", "heading")
    for column, head in enumerate(ACTS.values()):
        picture.text((LEFT + CELL * (column + 0.5), 110), head, "plain", "middle", room=CELL)
    for row, (name, label) in enumerate(MEANWHILE.items()):
        y = TOP + HIGH * row
        picture.text((MARGIN, y + 20), label, "plain", room=LEFT - MARGIN)
        for column, act in enumerate(ACTS):
            word, _, kind = OUTCOMES[TABLE[act, name]]
            look: Look = "muted" if kind == "gone" else "plain"
            picture.box((LEFT + CELL * column + 2, y), (CELL - 4, HIGH - 5), [(word, look)], kind)
    y = TOP + HIGH * len(MEANWHILE) + 16
    for word, meaning, kind in OUTCOMES.values():
        picture.box((MARGIN, y), (CELL - 4, 24), [(word, "muted" if kind == "gone" else "plain")], kind)
        picture.text((MARGIN + CELL + 8, y + 16.5), meaning, "muted")
        y += 30
    return picture.render(y + 10)
