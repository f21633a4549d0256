"""``fluidauth sessions``: what is stored, who it belongs to, and how to end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import click

from fluidauth.formats.encryption import encrypted_by
from fluidauth.formats.payloads import is_adoption, sealed_by
from fluidauth.maintenance.census import every_record
from fluidauth.operations import manage
from fluidauth.operations.revoke import end_user
from fluidauth.operations.runner import run
from fluidauth.records import Body, SessionRecord, check_user_id, moment
from fluidauth.rules.verdicts import Finding, inspect
from fluidauth.stores.base import SessionStore

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
from .output import NO, Output, Refused, plural

_SHOWN = 12  # digits of a handle, enough to name a session among millions


@click.group()
def sessions() -> None:
    """Look at stored sessions, end them, move them to another key.

    A HANDLE names a session in the store and opens nothing; its first 8 hex digits or more will do.
    """


@command(sessions, "list")
@store_option
@click.option("--user", help="Those of one user only.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@click.option("--after", help="Those behind this handle, for the next page.")
@click.option("--expired", is_flag=True, help="Expired ones as well.")
@click.option("--key", "kid", help="Those whose cookie or record is under this key.")
def list_sessions(
    out: Output, store: str, user: str | None, limit: int, after: str | None, expired: bool, kid: str | None
) -> None:
    """List sessions that have not expired, in order of handle. No payload is opened."""
    if user is not None:
        check_user(user)
    with closing(open_store(store)) as blocking:
        start = whole_handle(blocking, after) if after else None
        at = now()
        found = (
            record
            for record in _of_user(blocking, user, start)
            if (expired or record.expires_at > at)
            and kid in (None, record.kid, sealed_by(record))
            and not is_adoption(record)
        )
        page = list(islice(found, limit + 1))  # one more says whether another page follows
    following = page[limit - 1].handle if len(page) > limit else None
    del page[limit:]
    out.answer({"sessions": [_columns(record) for record in page], "next": following})
    out.table(
        ("handle", "user", "created (UTC)", "expires (UTC)", "cookie key"),
        [
            (r.handle[:_SHOWN], r.user_id or "–", _minute(r.created_at), _minute(r.expires_at), r.kid)
            for r in page
        ],
    )
    if following:
        out.hint(f"next page: --after {following[:_SHOWN]}")


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
            **_columns(record),
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


@command(sessions, "revoke")
@click.argument("handle")
@store_option
@keyring_option
def revoke(out: Output, handle: str, store: str, keyring: Path | None, trust_mount: bool) -> None:
    """End one session, also under the id that it was renewed to. Exit code 1 if there is none."""
    with closing(open_store(store)) as blocking:
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        whole = whole_handle(blocking, handle)
        record = blocking.get(whole)
        ended = run(blocking, manage.delete(policy, whole))
    of_user = f" of {record.user_id!r}" if record and record.user_id is not None else ""
    out.answer(
        {"handle": whole, "user_id": record.user_id if record else None, "revoked": ended},
        f"session {whole[:_SHOWN]}{of_user} {'is ended' if ended else 'was not there'}",
    )
    if not ended:
        raise click.exceptions.Exit(NO)


@command(sessions, "revoke-user")
@click.argument("user")
@store_option
@click.option("--except", "kept", help="The handle of a session to keep.")
def revoke_user(out: Output, user: str, store: str, kept: str | None) -> None:
    """End all sessions of USER. Exit code 1 if there is none."""
    check_user(user)
    with closing(open_store(store)) as blocking:
        whole = whole_handle(blocking, kept) if kept else None
        count = run(blocking, end_user(user, whole))
    out.answer({"user": user, "revoked": count}, f"{plural(count, 'session')} of {user!r} ended")
    if not count:
        raise click.exceptions.Exit(NO)


# -- helpers -------------------------------------------------------------------------------


def _of_user(store: SessionStore, user: str | None, after: str | None) -> Iterator[SessionRecord]:
    if user is None:
        return every_record(store.scan, after)
    return every_record(lambda start, limit: store.list_for_user(user, start, limit), after)


def _seal(found: Finding) -> str:
    if found.content is not None:
        return "genuine"
    return "by a revoked key" if found.verdict == "revoked" else "NOT genuine"


def _minute(seconds: object) -> str:
    return moment(seconds)[:16]


def check_user(user: str) -> None:
    """Raise :class:`Refused` for what can be no user id."""
    try:
        check_user_id(user)
    except ValueError as error:
        raise Refused(str(error)) from error


def _columns(record: SessionRecord) -> dict[str, Any]:
    columns = record._asdict()
    columns["bytes"] = len(columns.pop("payload"))
    return columns


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
