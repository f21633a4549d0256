"""URLs of Redis, and what is refused or warned of at the start."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SessionEngine, StoreError
from fluidauth.keys import new_secret
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.url import Place
from fluidauth.stores.urls import store_from_url
from fluidauth.testing.proxy import Proxy
from harness.servers.redis import (
    DURABLE,
    NewRedis,
    redis_url,
)
from tests.stores.redis.support import both_sides, client_of, record
from tests.stores.remote import check_refused

# -- settings ------------------------------------------------------------------------------


@pytest.mark.requirement("12")
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://u:hunter2@host?timeout=0", "timeout must be above 0"),
        ("redis://u:hunter2@host?pool_size=0", "pool_size at least 1"),
        ("redis://u:hunter2@host?wait_replicas=-1", "wait_replicas 0 or more"),
        ("redis://u:hunter2@host?pool_size=many", "pool_size='many', which is not a number"),
        ("redis://u:hunter2@host?colour=red", "unknown option 'colour'"),
        ("redis://u:hunter2@host:port", "a port that is no number"),
        ("redis://u:hunter2@host/zero", "a database that is no number"),
        ("redis://u:hunter2@one,two", "only sentinels or a cluster can have several hosts"),
        ("redis+sentinel://u:hunter2@one,two", "names no service"),
        ("redis+cluster://u:hunter2@one,two/3", "only database 0"),
        ("redis+galaxy://u:hunter2@one", "use redis://"),
        ("redis://u:hunter2@host?namespace=a:b", "namespace"),
        ("rediss://u:hunter2@host?ssl_ca_certs=/nowhere", "certificates .* cannot be used"),
        ("redis://u:hunter2@host?ssl_ca_certs=/nowhere", "ssl_ca_certs is for TLS"),
        ("redis+sentinel://u:hunter2@host/main?ssl_certfile=/nowhere", "ssl_certfile is for TLS"),
        ("unix:///u:hunter2?ssl_keyfile=/nowhere", "ssl_keyfile is for TLS"),
        ("rediss://u:hunter2@host?ssl_keyfile=/nowhere", "give ssl_certfile as well"),
        ("redis://u:hunter2@host?ssl_cert_reqs=none", "ssl_cert_reqs is for TLS"),
        ("rediss://u:hunter2@host?ssl_cert_reqs=no", "ssl_cert_reqs must be 'required', or 'none'"),
    ],
)
def test_wrong_settings_are_refused_without_the_password(url: str, message: str) -> None:
    check_refused(url, message)


@pytest.mark.parametrize(
    ("url", "places", "rest"),
    [
        ("redis://host", [("host", 6379)], ("", "", 0)),
        ("valkey://:hunter2@host:1/5", [("host", 1)], ("", "hunter2", 5)),
        ("redis://user@host", [("host", 6379)], ("user", "", 0)),
        ("redis://us%40er:p%2Fw@[::1]:7/2", [("::1", 7)], ("us@er", "p/w", 2)),
        ("unix:///run/redis.sock?db=3", [("/run/redis.sock", 0)], ("", "", 3)),
        ("redis+cluster://one,two:2", [("one", 6379), ("two", 2)], ("", "", 0)),
        ("redis+sentinel://u:p@one,two:2/main/4", [("one", 26379), ("two", 2)], ("u", "p", 4)),
    ],
)
def test_url_gives_places_login_and_service(url: str, places: list[Any], rest: Any) -> None:
    settings = store_from_url(url).settings  # type: ignore[attr-defined]
    assert list(settings.places) == places
    assert tuple(settings.login) == rest
    assert settings.service == ("main" if "sentinel" in url else "")


def test_a_url_sets_what_is_ours() -> None:
    found = store_from_url("redis://u:hunter2@host?namespace=shop&timeout=0.5&pool_size=3&wait_replicas=1")
    assert isinstance(found, RedisStore)
    assert found.settings[6:] == ("shop", 0.5, 3, 1)
    assert repr(found) == "<RedisStore host:6379 namespace='shop'>"
    assert "hunter2" not in repr(found.settings)


@pytest.mark.parametrize(
    ("place", "reason"),
    [("u:hunter2@127.0.0.1:1", "refused"), ("u:hunter2@no-such-host.invalid", "no-such-host")],
)
def test_a_server_that_is_not_there_is_told_with_the_reason(place: str, reason: str) -> None:
    """When the engine is built, and without the password."""
    with pytest.raises(StoreError, match=reason) as caught:
        SessionEngine(new_secret(), f"redis://{place}")
    assert "hunter2" not in str(caught.value)


def test_a_password_is_asked_for_and_taken(new_redis: NewRedis) -> None:
    """Of the default user and of one with a name; a wrong one, or none, is told."""
    server = new_redis("--requirepass", "hunter2", "--user", "app", "on", ">s3cret", "~*", "+@all")
    for login in (":hunter2", "app:s3cret"):
        with both_sides(f"redis://{login}@127.0.0.1:{server.port}/1") as sides:
            sides[0]("create", record(1))
            assert sides[1]("get", record(1).handle) == record(1)
            sides[0]("delete", record(1).handle)
    for login, words in (("", "NOAUTH"), (":wrong@", "WRONGPASS")):
        with both_sides(f"redis://{login}127.0.0.1:{server.port}") as sides:
            for call in sides:
                with pytest.raises(StoreError, match=words):
                    call("get", record(1).handle)


def test_a_user_without_a_password_is_nobody_else(new_redis: NewRedis) -> None:
    """A URL that names one never gives what the default user may do."""
    server = new_redis("--user", "app", "on", "nopass", "~*", "-@all", "+script|load", "+get")
    with both_sides(f"redis://app@127.0.0.1:{server.port}") as sides:
        for call in sides:
            assert call("get", record(1).handle) is None
            with pytest.raises(StoreError, match="NOPERM"):
                call("create", record(1))


def test_a_socket_serves_as_well(new_redis: NewRedis) -> None:
    server = new_redis()
    with both_sides(f"unix://{server.folder}/s?db=2") as sides:
        sides[0]("create", record(1))
        assert sides[1]("get", record(1).handle) == record(1)
        assert client_of(f"{server.url}/2").dbsize() == 2  # the record and the user's handles


def certificate_for(name: str, folder: Path) -> tuple[Path, Path]:
    """Return a new certificate for *name*, signed by itself, and its key."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run(
        [*make, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / f"{name}.pem", folder / f"{name}.key"


def test_tls_is_spoken_and_names_are_checked(tmp_path: Path) -> None:
    """To a server behind TLS, with its own authority; one of another name is refused."""
    plain = store_from_url(redis_url()).settings.places[0]  # type: ignore[attr-defined]
    for name in ("localhost", "elsewhere"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate_for(name, tmp_path))
        with closing(Proxy(tuple(plain), tls=context)) as proxy:
            url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={tmp_path}/{name}.pem&namespace={name}"
            with both_sides(url) as sides:
                for number, call in enumerate(sides):
                    if name == "localhost":
                        call("create", record(number, payload=os.urandom(200_000)))
                        assert call("delete", record(number).handle) is True
                    else:
                        with pytest.raises(StoreError, match="certificate verify failed"):
                            call("get", record(1).handle)


@pytest.mark.parametrize("word", ["none", "CERT_NONE"])
def test_a_certificate_that_nobody_signed_is_taken_if_one_says_so(word: str, tmp_path: Path) -> None:
    """As Heroku's Redis has it: for any name, by redis-py's own option; what that means is warned of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_for("elsewhere", tmp_path))
    plain = store_from_url(redis_url()).settings.places[0]  # type: ignore[attr-defined]
    with closing(Proxy(tuple(plain), tls=context)) as proxy:
        url = f"rediss://localhost:{proxy.port}?namespace=unsigned-{word}"
        with both_sides(f"{url}&ssl_cert_reqs={word}") as sides:
            for number, call in enumerate(sides):
                call("create", record(number))
                assert call("delete", record(number).handle) is True
        with closing(RedisStore(f"{url}&ssl_cert_reqs={word}")) as store:
            assert any("not verified (ssl_cert_reqs=none)" in sentence for sentence in store.advice())
        with both_sides(f"{url}&ssl_cert_reqs=required") as sides:
            for call in sides:
                with pytest.raises(StoreError, match="certificate verify failed"):
                    call("get", record(1).handle)


def test_settings_under_which_sessions_get_lost_are_warned_of(
    caplog: pytest.LogCaptureFixture, new_redis: NewRedis
) -> None:
    """When the engine is built; a server that keeps what it is given is not spoken of."""
    risky = new_redis("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
    with caplog.at_level(logging.WARNING, "fluidauth"):
        SessionEngine(new_secret(), RedisStore(new_redis(*DURABLE).url)).close()
        assert caplog.messages == []
        SessionEngine(new_secret(), RedisStore(risky.url)).close()
    assert len(caplog.messages) == 2
    assert "maxmemory-policy volatile-lru" in caplog.messages[0]
    assert "no append-only file" in caplog.messages[1]


# -- concurrency -----------------------------------------------------------------------------------


def test_a_place_is_shown_as_it_is_written() -> None:
    assert [str(Place("host", 1)), str(Place("/run/redis", 0))] == ["host:1", "/run/redis"]
