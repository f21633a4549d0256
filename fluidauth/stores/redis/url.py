"""Where Redis is and how to connect to it, from a URL."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from fluidauth.errors import ConfigError
from fluidauth.records import check_namespace
from fluidauth.stores.options import options_in

FORM = (
    "use redis://user:password@host:6379/0, rediss:// for TLS, unix:///path, redis+sentinel://host,host/name "
    "or redis+cluster://host,host"
)
_PORT = 6379
_SENTINEL_PORT = 26379

Kind = Literal["single", "sentinel", "cluster"]


class Place(NamedTuple):
    """A server's address; the path of its socket if *port* is 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class Login(NamedTuple):
    """The user to log in as. The password is never shown."""

    user: str
    password: str
    database: int

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, database={self.database})"


class Settings(NamedTuple):
    """What both sides of a store need to know."""

    kind: Kind
    places: tuple[Place, ...]
    """The server, or the servers that know where the others are."""
    service: str
    """The name of the primary, as Sentinel knows it."""
    login: Login
    sentinel_login: Login
    tls: ssl.SSLContext | None
    namespace: str
    timeout: float
    """Seconds."""
    pool_size: int
    wait_replicas: int

    @property
    def place(self) -> str:
        """Return the servers, for people: no user, no password."""
        return ",".join(map(str, self.places)) + (f"/{self.service}" if self.service else "")


_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_VERIFIES = {"required": True, "cert_required": True, "none": False, "cert_none": False}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_TLS_FILES, str),
    "ssl_cert_reqs": str,
    "sentinel_username": str,
    "sentinel_password": str,
    "namespace": str,
    "timeout": float,
    "pool_size": int,
    "wait_replicas": int,
    "db": str,
}


def settings_of(url: str, **given: Any) -> Settings:
    """Return the settings in *url*, and those *given* with it; raise :class:`ConfigError` for wrong ones.

    No message repeats the URL: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    kind, has_tls = _kind_of(scheme)
    options = {
        "timeout": 2.0,
        "pool_size": 32,
        "wait_replicas": 0,
        "namespace": "",
        **given,
        **options_in(query, _OPTIONS),
    }
    authority, _, path = ("", "", rest) if scheme == "unix" else rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    database = options.pop("db", None) or ("" if scheme == "unix" else path.rpartition("/")[2])
    if kind == "sentinel" and "/" not in path:
        path, database = path, ""
    service = unquote(path.partition("/")[0]) if kind == "sentinel" else ""
    _check(kind, service, database, options)
    _check_tls(options, has_tls)
    places = (Place(path, 0),) if scheme == "unix" else _places(hosts, kind)
    return Settings(
        kind,
        places,
        service,
        Login(unquote(user), unquote(password), _number(database or "0", "database")),
        Login(options.pop("sentinel_username", ""), options.pop("sentinel_password", ""), 0),
        _tls(options) if has_tls else None,
        check_namespace(options["namespace"]),
        options["timeout"],
        options["pool_size"],
        options["wait_replicas"],
    )


def _kind_of(scheme: str) -> tuple[Kind, bool]:
    base, _, more = scheme.partition("+")
    kinds: dict[str, Kind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
    if more not in kinds or base not in ("redis", "rediss", "valkey", "valkeys", "unix"):
        raise ConfigError(f"the Redis URL is not one; {FORM}")
    if base == "unix" and more:
        raise ConfigError(f"the Redis URL is not one; {FORM}")
    return kinds[more], base in ("rediss", "valkeys")


def _places(hosts: str, kind: Kind) -> tuple[Place, ...]:
    port = _SENTINEL_PORT if kind == "sentinel" else _PORT
    places = tuple(_place(host, port) for host in hosts.split(","))
    if kind == "single" and len(places) > 1:
        raise ConfigError(f"only sentinels or a cluster can have several hosts; {FORM}")
    return places


def _place(text: str, port: int) -> Place:
    """Return ``host``, ``host:port`` or ``[host]:port`` as a place."""
    host, _, rest = text[1:].partition("]") if text.startswith("[") else text.partition(":")
    number = rest.removeprefix(":")
    return Place(host or "localhost", _number(number, "port") if number else port)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"the Redis URL has a {what} that is no number; {FORM}")
    return int(text)


def _check(kind: Kind, service: str, database: str, options: dict[str, Any]) -> None:
    """Raise if these do not fit together."""
    if not 0 < options["timeout"] <= 60 or options["pool_size"] < 1 or options["wait_replicas"] < 0:
        raise ConfigError(
            "timeout must be above 0 and at most 60 seconds, pool_size at least 1, wait_replicas 0 or more"
        )
    if kind == "sentinel" and not service:
        raise ConfigError(f"the Redis URL names no service of the sentinels; {FORM}")
    if kind == "cluster" and database not in ("", "0"):
        raise ConfigError("a Redis cluster has only database 0; leave the number out")


def _check_tls(options: dict[str, Any], has_tls: bool) -> None:
    """Raise if a file for TLS is named that would not be used."""
    named = [name for name in (*_TLS_FILES, "ssl_cert_reqs") if options.get(name)]
    if named and not has_tls:
        raise ConfigError(f"{named[0]} is for TLS, but the Redis URL is without TLS: use rediss://")
    if "ssl_keyfile" in named and "ssl_certfile" not in named:
        raise ConfigError("ssl_keyfile is the key of a certificate: give ssl_certfile as well")
    if options.get("ssl_cert_reqs", "required").lower() not in _VERIFIES:
        raise ConfigError("ssl_cert_reqs must be 'required', or 'none' for a self-signed certificate")


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    """Return what verifies the servers' certificates and their names, unless *options* say not to."""
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if options.get("ssl_certfile"):
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        if not _VERIFIES[options.get("ssl_cert_reqs", "required").lower()]:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    except OSError as error:
        raise ConfigError(f"the certificates that the Redis URL names cannot be used: {error}") from error
    return context
