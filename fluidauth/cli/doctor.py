"""``fluidauth doctor``: what a deployment should change."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import click

from fluidauth.engine import SessionEngine
from fluidauth.engine.settings import DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_IDLE_TIMEOUT
from fluidauth.errors import ConfigError, NotSupported, StoreError
from fluidauth.formats.payloads import sealed_by
from fluidauth.keys import Keyring
from fluidauth.keys import file as keyfile
from fluidauth.maintenance.census import every_record
from fluidauth.records import MAX_LIFETIME
from fluidauth.rules.loading import MAX_CLOCK_SKEW
from fluidauth.rules.origins import OriginRules
from fluidauth.rules.policy import Policy
from fluidauth.stores.base import SessionStore
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.sqlite import SQLiteStore

from .options import command, keyring_option, now, open_keyring, open_store, store_option, variables_set
from .output import NO, Output, plural

_DAY = 24 * 60 * 60
_YEAR = 365 * _DAY
_EARLIEST = 1_760_000_000  # October 2025: a clock before that is wrong
_FREE_BYTES = 100 * 1024 * 1024
_BACKLOG = 0.5  # of all records, expired
_SAMPLE = 10_000  # records


class Opinion(NamedTuple):
    """One thing that was checked, and what to do about it."""

    level: Literal["ok", "skipped", "warning", "error"]
    subject: str
    says: str


Opinions = Iterator[Opinion]


@command(None, "doctor")
@keyring_option
@store_option
@click.option(
    "--engine", "name", help="The engine, as module:attribute: its keyring, store and settings are checked."
)
@click.option("--url", help="The address under which browsers reach the application.")
def doctor(
    out: Output, keyring: Path | None, trust_mount: bool, store: str, name: str | None, url: str | None
) -> None:
    """Check a deployment's secrets, cookie, store and clock, and say what to change.

    Exit code 1 if anything is wrong, and 0 if there are only warnings.
    """
    if url is not None and name is None:
        raise click.UsageError("--url is compared with the cookie of an engine; give --engine, too")
    found = list(examine(keyring, trust_mount, store, name, url))
    out.answer({"opinions": [opinion._asdict() for opinion in found]})
    out.table(("", "", ""), found)
    if any(opinion.level == "error" for opinion in found):
        raise click.exceptions.Exit(NO)


def examine(
    keyring: Path | None, trust_mount: bool, store: str, name: str | None, url: str | None
) -> Opinions:
    """Check everything that can be reached. Each thing that cannot is an error of its own."""
    yield from _of_clock(time.time())
    if name is not None:
        try:
            engine = _imported(name)
        except Exception as error:  # whatever the application raises when it is imported
            yield Opinion("error", "engine", f"{name}: {error}")
        else:
            yield from _of_engine(engine, url)
            return
    yield from _of_environment()
    ring = None
    try:
        ring = open_keyring(keyring, trust_mount)
        yield from _of_keyring(ring)
    except ConfigError as error:
        yield Opinion("error", "keyring", str(error))
    yield from _reached("store", _of_store_at(store, ring))
    if name is None:
        yield Opinion("skipped", "cookie", "--engine module:attribute shows the application's settings")


def _of_engine(engine: SessionEngine, url: str | None) -> Opinions:
    ring = engine.policy.keyring
    if engine.development:
        yield Opinion("error", "development", "on: only this machine is served; set FLUIDAUTH_DEVELOPMENT=0")
    yield from _reached("keyring", _of_keyring(ring))
    yield from _reached("store", _of_store(engine.requests.store, ring))
    yield from _of_policy(engine.policy, url)


def _reached(subject: str, opinions: Opinions) -> Opinions:
    """Pass *opinions* on. If the subject cannot be reached, that is one of its own."""
    try:
        yield from opinions
    except (ConfigError, StoreError) as error:
        yield Opinion("error", subject, str(error))


def _of_environment() -> Opinions:
    given = variables_set()
    if len(given) > 1:
        yield Opinion("error", "secrets", f"{' and '.join(given)} are both set: no engine starts; unset one")


def _of_clock(now: float) -> Opinions:
    if now < _EARLIEST:
        yield Opinion("error", "clock", "it is years behind, so sessions would live too long: set it")
    else:
        yield Opinion("ok", "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _of_keyring(ring: Keyring) -> Opinions:
    others = [kid for kid in ring.kids if kid != ring.signing.kid]
    if ring.signing.kid in ring.kids:
        yield Opinion("ok", "secrets", f"strong; {ring.signing.kid} signs, {len(others)} more verify")
    else:
        yield Opinion("error", "secrets", "no key signs: run fluidauth keys promote")
    if ring.path is None:
        yield Opinion(
            "warning",
            "keyring",
            "from the environment: a rotation must restart every process. With a file it need not. To move: "
            "printenv FLUIDAUTH_SECRET | fluidauth keys add --create --secret-stdin --keyring FILE",
        )
        return
    at = now()
    document, _ = keyfile.read(ring.path, trust_mount=True)  # the ring has checked its mode
    yield Opinion("ok", "keyring", f"{ring.path}, serial {document.serial}")
    for entry in document.entries:
        age, subject = (at - entry.changed) // _DAY, f"key {entry.kid}"
        if entry.changed > at + MAX_CLOCK_SKEW:
            yield Opinion("warning", subject, "changed in the future: is this clock behind?")
        elif entry.state == "signing" and at - entry.changed > _YEAR:
            yield Opinion(
                "warning",
                subject,
                f"has been signing for {age} days; rotate within a year: fluidauth keys add",
            )
        elif entry.state == "pending" and at - entry.changed > _DAY:
            yield Opinion(
                "warning", subject, f"has been pending for {age} days: fluidauth keys promote {entry.kid}"
            )
        elif entry.state == "verifying" and at - entry.changed > MAX_LIFETIME:
            yield Opinion(
                "warning", subject, f"no session can be that old: fluidauth keys revoke {entry.kid}"
            )
        else:
            yield Opinion("ok", subject, f"{entry.state} for {age} days")


def _of_store(store: SessionStore, ring: Keyring | None) -> Opinions:
    if isinstance(store, MemoryStore):
        yield Opinion("error", "store", "MemoryStore is for development: sessions end with the process")
        return
    for sentence in store.advice():
        yield Opinion("warning", "store", sentence)
    if isinstance(store, SQLiteStore):
        yield from _of_room(store.path)
        obstacle = store.why_select()
        says = f"each one asks SQLite: {obstacle}" if obstacle else "from memory while nobody commits"
        yield Opinion("ok", "reads", says)
    try:
        yield from _of_records(store, ring)
    except NotSupported:
        yield Opinion("skipped", "store", "it cannot list its records")


def _of_store_at(url: str, ring: Keyring | None) -> Opinions:
    with closing(open_store(url)) as store:
        yield from _of_store(store, ring)


def _of_room(path: Path) -> Opinions:
    free = shutil.disk_usage(path.parent).free
    if free < _FREE_BYTES:
        yield Opinion("warning", "disk", f"{free // 2**20} MB free next to {path}: a full disk stops logins")
    else:
        yield Opinion("ok", "disk", f"{free // 2**20:,} MB free")


def _of_records(store: SessionStore, ring: Keyring | None) -> Opinions:
    """Judge by the first ten thousand records. They are a random sample, as handles are digests."""
    at = now()
    seen = expired = future = 0
    seals: Counter[str] = Counter()
    for record in islice(every_record(store.scan), _SAMPLE):
        seen += 1
        expired += record.expires_at <= at
        future += record.created_at > at + MAX_CLOCK_SKEW
        seals[ring.state_of(sealed_by(record)) if ring else ""] += 1
    name = f"session database {store.path}" if isinstance(store, SQLiteStore) else repr(store)
    yield Opinion("ok", "store", f"{name} answers; {plural(seen, 'record')} checked")
    if seals["unknown"]:
        yield Opinion(
            "error",
            "keyring",
            f"{seals['unknown']:,} of {seen:,} sealed by keys that it does not have: is it the wrong one?",
        )
    if seals["revoked"]:
        yield Opinion(
            "warning",
            "store",
            f"{seals['revoked']:,} of {seen:,} ended with a revoked key: fluidauth sessions clean --revoked",
        )
    if future:
        yield Opinion(
            "error",
            "clock",
            f"{future:,} of {seen:,} created in the future: a server's clock is wrong",
        )
    if expired > _BACKLOG * seen and seen > 100:
        yield Opinion("warning", "cleaning", f"{expired:,} of {seen:,} expired: fluidauth sessions clean")


def _of_origins(rules: OriginRules) -> Opinion:
    trusted = ", ".join(sorted(rules.trusted)) or "none"
    if rules.mode == "block":
        return Opinion("ok", "cross-origin", f"requests of other origins are refused; trusted: {trusted}")
    says = "are not looked at: set cross_origin='report'"
    if rules.mode == "report":
        says = "are only reported: set cross_origin='block' when no origin of yours is reported"
    return Opinion("warning", "cross-origin", f"requests of other origins {says}")


def _of_policy(policy: Policy, url: str | None) -> Opinions:
    cookie, lifetime = policy.cookie, policy.lifetime
    https = url is not None and urlsplit(url).scheme == "https"
    if cookie.secure and url is not None and not https:
        yield Opinion(
            "error", "cookie", f"{cookie.name} is Secure, but {url} is plain http: browsers drop it"
        )
    elif not cookie.secure:
        level: Literal["warning", "error"] = "error" if https else "warning"
        yield Opinion(level, "cookie", "secure=False is for development: anybody on the network can read it")
    else:
        yield Opinion("ok", "cookie", f"{cookie.name}, Secure, SameSite={cookie.same_site}")
    if not cookie.http_only:
        yield Opinion("warning", "cookie", "http_only=False: scripts can read it, also an attacker's")
    if cookie.same_site == "none":
        yield Opinion("warning", "cookie", "same_site='none': other sites' requests carry it")
    yield _of_origins(policy.origins)
    if cookie.domain is not None:
        yield Opinion("warning", "cookie", f"every host under {cookie.domain} gets it and can set it")
    if lifetime.absolute_seconds > DEFAULT_ABSOLUTE_TIMEOUT:
        yield Opinion(
            "warning", "timeouts", "absolute timeout above 24 h, the limit of NIST SP 800-63B-4 for AAL2"
        )
    if lifetime.idle_seconds is None or lifetime.idle_seconds > DEFAULT_IDLE_TIMEOUT:
        yield Opinion(
            "warning", "timeouts", "idle timeout above 1 h, the limit of NIST SP 800-63B-4 for AAL2"
        )
    if lifetime.absolute_seconds <= DEFAULT_ABSOLUTE_TIMEOUT:
        yield Opinion(
            "ok", "timeouts", f"{lifetime.absolute_seconds} s absolute, {lifetime.idle_seconds} s idle"
        )


def _imported(name: str) -> SessionEngine:
    """Return the engine that ``module:attribute`` names, or that a middleware, Flask or Django has there."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())  # as servers do
    found = attrgetter(attribute or "engine")(importlib.import_module(module))
    interface = getattr(found, "session_interface", None)
    engine = getattr(found, "engine", found)
    if interface is not None and hasattr(interface, "engine_for"):
        engine = interface.engine_for(found)
    elif attribute == "get_engine" and callable(found):  # of Django
        engine = found()
    if not isinstance(engine, SessionEngine):
        raise ConfigError(
            "neither a SessionEngine nor a session middleware; name the engine, such as app:engine"
        )
    return engine
