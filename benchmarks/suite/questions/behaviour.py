"""What happens to sessions when requests meet, and when a secret is rotated: found out by running it."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor

from rich.table import Table

from ..crew import Member
from ..peer import Peer
from ..run import Row, Run
from ..sheets import Peers, Sheet, panels_of, upside_down

TITLE = "Under concurrency, and when a secret is rotated"
WRITES = 50
CAPTION = f"the good answers: {WRITES}, yes, no, yes; –: memory ends with the process"


def ask(run: Run) -> list[Row]:
    """Try every peer; none of this is timed, so several are tried at once."""
    with run.stage("behaviour", len(run.peers)) as tell, ThreadPoolExecutor(os.cpu_count()) as pool:

        def one(peer: Peer) -> Row | None:
            found = None
            with run.forgiving(peer.name):
                found = behaviour(run, peer)
            tell(peer.name, 1)
            return found

        return [row for row in pool.map(one, run.peers) if row]


def behaviour(run: Run, peer: Peer) -> Row:
    with run.crew.member(peer) as member:
        survivors = member.do("survivors", count=WRITES)
        logouts = member.do("logouts")
        stays = stays_signed_in(run, member) if peer.shares else None
    return {
        "peer": peer.name,
        "survivors": survivors,
        "logout_is_final": logouts["a copied cookie is refused"],
        "logout_is_undone": logouts["a slower request brings it back"],
        "rotation_keeps": stays,
    }


def stays_signed_in(run: Run, member: Member) -> bool:
    """Return whether somebody who signed in is still so after a restart with a new secret before the old."""
    cookie = member.do("sign_in")
    new = run.crew.successor(member, secrets=[secrets.token_hex(32), *member.secrets])
    try:
        return bool(new.do("is_signed_in", cookie=cookie))
    finally:
        new.stop()


def table(rows: list[Row], peers: list[Peer]) -> Table:
    found = Table(title=TITLE, title_justify="left", caption=CAPTION)
    heads = (
        f"of {WRITES} concurrent writes survive",
        "a copied cookie is refused after logout",
        "a slower request brings a logged-out session back",
        "signed in after a restart with a new secret",
    )
    found.add_column("peer")
    for head in heads:
        found.add_column(head, justify="right", max_width=20)
    for row in rows:
        survive = row["survivors"]
        found.add_row(
            row["peer"],
            f"[{'green' if survive == WRITES else 'red'}]{survive}[/]",
            word(row["logout_is_final"], True),
            word(row["logout_is_undone"], False),
            "–" if row["rotation_keeps"] is None else word(row["rotation_keeps"], True),
        )
    return found


def word(value: bool, good: bool) -> str:
    return f"[{'green' if value is good else 'red'}]{'yes' if value else 'no'}[/]"


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show how many of the concurrent writes survive."""
    return Sheet(
        "Concurrent writes that survive",
        (f"Of {WRITES} requests at once that each set another field", "of one session; longer is better."),
        ("",),
        upside_down(panels_of({row["peer"]: (row["survivors"],) for row in rows}, peers)),
        full=WRITES,
    )
