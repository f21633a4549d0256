"""``fluidauth sessions``, and what one session is: ``sessions show``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from fluidauth.formats.encryption import encrypted_by
from fluidauth.formats.payloads import sealed_by
from fluidauth.records import Body, SessionRecord, moment
from fluidauth.rules.verdicts import Finding, inspect

from .options import (
    command,
    keyring_option,
    now,
    open_keyring,
    open_store,
    policy_for,
    store_option,
    whole_handle,
)
from .output import NO, Output, Refused
from .sessions_list import columns, kind


@click.group()
def sessions() -> None:
    """Look at stored sessions, end them, move them to another key or store.

    A HANDLE names a session in the store and opens nothing. Its first 8 hex digits or more are enough.
    """


@command(sessions, "show")
@click.argument("handle")
@store_option
@keyring_option
@click.option("--decrypt", is_flag=True, help="Show encrypted fields in clear.")
def show(
    out: Output, handle: str, store: str, keyring: Path | None, trust_mount: bool, decrypt: bool
) -> None:
    """Show one session, and whether its seal is genuine. Exit code 1 if it is not."""
    with closing(open_store(store)) as blocking:
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        record = blocking.get(whole_handle(blocking, handle))
    if record is None:
        raise Refused("no session has this handle")
    found = inspect(policy, record, now())
    fields = _fields(found, decrypt)
    out.answer(
        {
            **columns(record),
            "verdict": found.verdict,
            "detail": found.detail,
            "genuine": found.content is not None,
            "sealed_by": sealed_by(record),
            **_lifetime(found),
            "fields": fields,
        }
    )
    out.table(("", ""), _lines(record, found, policy.keyring.state_of(record.kid)))
    if fields:
        out.table(("field", "stored", "value"), [(n, f["stored"], _value(f)) for n, f in fields.items()])
    if found.content is None:
        raise click.exceptions.Exit(NO)


# -- helpers -------------------------------------------------------------------------------


def _seal(found: Finding) -> str:
    if found.content is not None:
        return "genuine"
    return "by a revoked key" if found.verdict == "revoked" else "NOT genuine"


def _lifetime(found: Finding) -> dict[str, Any]:
    body = found.content
    if not isinstance(body, Body):
        return {}
    return {"deadline": body.deadline, "idle": body.idle, "auth_time": body.auth_time}


def _lines(record: SessionRecord, found: Finding, key_state: str) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [
        ("seal", _seal(found)),
        ("verdict", f"{found.verdict}: {found.detail}"),
        ("handle", record.handle),
        ("kind", kind(record)),
        ("user", record.user_id if record.user_id is not None else "–"),
        ("created (UTC)", moment(record.created_at)),
        ("expires unless used", moment(record.expires_at)),
        ("version", record.version),
        ("cookie key", f"{record.kid}, {key_state}"),
    ]
    if isinstance(found.content, Body):
        lines.append(("expires at the latest", moment(found.content.deadline)))
        lines.append(("logged in", moment(found.content.auth_time) if found.content.auth_time else "–"))
    return lines


def _fields(found: Finding, decrypt: bool) -> dict[str, dict[str, Any]]:
    """Return each field, how it is stored and, if it may be shown, its value."""
    body = found.content
    if not isinstance(body, Body):
        return {}
    fields: dict[str, dict[str, Any]] = {}
    for name in sorted({*body.fields, *body.locked}):
        locked = body.locked.get(name)
        stored = f"encrypted by {encrypted_by(locked.envelope)}" if locked else "plain"
        fields[name] = {"stored": stored}
        if locked and locked.error:
            fields[name]["error"] = "cannot be read"
        elif not locked or decrypt:
            fields[name]["value"] = body.fields[name]
    return fields


def _value(field: dict[str, Any]) -> str:
    return repr(field["value"]) if "value" in field else field.get("error", "(--decrypt shows it)")
