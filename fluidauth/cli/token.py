"""``fluidauth token``: what one cookie opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fluidauth.formats.client_tokens import PREFIX
from fluidauth.formats.cookies import CookieOptions
from fluidauth.operations.explain import Explanation
from fluidauth.operations.explain import explain as explained
from fluidauth.operations.runner import run
from fluidauth.stores.urls import store_at

from .options import (
    command,
    keyring_option,
    now,
    open_keyring,
    open_store,
    policy_for,
    secret_input,
    store_option,
)
from .output import NO, Output

_NAMES = ("__Secure-session", "session")  # besides __Host-session, depending on the other options


@click.group()
def token() -> None:
    """Look at a cookie."""


@command(token, "explain")
@keyring_option
@store_option
@click.option(
    "--cookie-name", help="The cookie's name; by default every name that CookieOptions() may choose."
)
@click.option(
    "--offline", is_flag=True, help="Do not ask the store: only check whether the token is genuine."
)
@click.argument("misplaced", nargs=-1, metavar="")
def explain(
    out: Output,
    keyring: Path | None,
    trust_mount: bool,
    store: str,
    cookie_name: str | None,
    offline: bool,
    misplaced: tuple[str, ...],
) -> None:
    """Say why a request with this cookie is signed in, or is not.

    It reads standard input, so that the secret stays out of the shell's history: the token of a cookie or
    of a client, or a whole Cookie or Set-Cookie header. Exit code 1 if it opens no live session, or with
    --offline if it is not genuine.
    """
    if misplaced:  # and not repeated
        raise click.UsageError("the token is read from standard input, not from the command line")
    given = secret_input("token").strip()
    cookie = (
        CookieOptions(name=cookie_name, secure=cookie_name.startswith("__"))
        if cookie_name
        else CookieOptions(former_names=_NAMES)
    )
    blocking = store_at(store) if offline else open_store(store)
    policy = replace(policy_for(open_keyring(keyring, trust_mount), blocking, cookie), client_tokens=True)
    header = given.partition(":")[2] if given.lower().startswith(("cookie:", "set-cookie:")) else given
    by_itself = "=" not in header
    try:
        headers = {"Cookie": f"{cookie.name}={header}" if by_itself else header}
        if header.startswith(PREFIX):
            headers = {"Authorization": f"Bearer {header}"}
        found = run(blocking, explained(policy, headers, now(), offline))
        if by_itself:  # no cookie was searched
            kept = tuple(r for r in found.remarks if not (r.good and r.subject == "cookie"))
            found = found._replace(remarks=kept)
    finally:
        del given, header, headers  # a traceback that prints locals must not show them
        blocking.close()
    _tell(out, found)


def _tell(out: Output, found: Explanation) -> None:
    remarks = [remark._asdict() for remark in found.remarks]
    out.answer({**found._asdict(), "signed_in": found.signed_in, "remarks": remarks})
    out.table(("", "", ""), [("ok" if r.good else "error", r.subject, r.says) for r in found.remarks])
    if found.signed_in:
        verdict = f"signed in as {found.user_id!r}, session {found.handle}"
    elif found.opens is None:
        verdict = "the token is genuine; the store was not asked"
    elif found.opens:
        verdict = f"a live session without a user, {found.handle}"
    else:
        verdict = f"not signed in: {found.reason}"
    if not out.as_json:
        click.echo(verdict)
    if found.opens is False:
        raise click.exceptions.Exit(NO)
