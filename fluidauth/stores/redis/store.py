"""Sessions in Redis or Valkey: shared by any number of machines, as durable as the server's settings say."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, TypeVar

from fluidauth.after_fork import catch_up, renew_in_child
from fluidauth.concurrency import drive
from fluidauth.errors import StoreBusy, StoreError
from fluidauth.secrecy import HoldsSecrets, without_locals
from fluidauth.stores import idle
from fluidauth.stores.base import DEFAULT_NAMESPACE, AsyncSessionStore
from fluidauth.stores.delegating import DelegatingStore

from .advice import advice
from .async_store import AsyncRedisStore
from .batches import RedisCalls
from .connection import Link, LinkError
from .routing import Pause, Pipeline, Routes, Steps
from .scripts import KIN_DIGITS, greeting_for
from .url import Place, Settings, settings_of

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("fluidauth")


class RedisStore(HoldsSecrets, DelegatingStore):
    """Sessions in the Redis 6.2 or newer, or Valkey, at *url*.

    The URL is ``redis://user:password@host:6379/0``, or ``rediss://`` for TLS, ``unix:///path?db=0``,
    ``redis+sentinel://host:26379,host/name/0`` or ``redis+cluster://host:6379,host``.

    Each wait for a connection or an answer ends after *timeout* seconds. For threads, this process has
    at most *pool_size* connections to each server. An event loop needs two. With *wait_replicas*, a
    logout succeeds when so many replicas have it. Raise :class:`ConfigError` for a wrong setting, and
    ``StoreError`` for every failure later.
    """

    expires_itself = True

    @without_locals
    def __init__(
        self,
        url: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout: float = 2.0,
        pool_size: int = 32,
        wait_replicas: int = 0,
    ) -> None:
        self.settings: Settings = settings_of(
            url, namespace=namespace, timeout=timeout, pool_size=pool_size, wait_replicas=wait_replicas
        )
        self.namespace: str = self.settings.namespace
        self.kin_digits = KIN_DIGITS if self.settings.kind == "cluster" else 0
        self._begin()
        renew_in_child(self, RedisStore._begin)

    def _begin(self) -> None:
        """Begin without connections: two processes that read from one would get each other's sessions."""
        self._routes = Routes(self.settings)
        self._records = RedisCalls(self._routes)
        self._pools: dict[Place, _Pool] = {}

    def __repr__(self) -> str:
        if not hasattr(self, "settings"):  # refused by __init__, and shown in a traceback
            return "<RedisStore, not built>"
        return f"<RedisStore {self.settings.place} namespace={self.namespace!r}>"

    def _call(self, verb: str, *arguments: Any) -> Any:
        return self.carry_out(getattr(self._records, verb)(*arguments))

    def advice(self) -> list[str]:
        return self.carry_out(advice(self._routes))

    def open(self) -> None:
        """Connect, and warn of settings that make Redis lose sessions."""
        for sentence in self.advice():
            logger.warning("%s", sentence)

    def close(self) -> None:
        catch_up()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def async_twin(self) -> AsyncSessionStore:
        return AsyncRedisStore(self.settings, self)

    # -- one call ------------------------------------------------------------------

    def carry_out(self, steps: Steps[T]) -> T:
        """Carry out *steps* and return their result. Raise ``StoreError`` or ``RecordExists``."""
        catch_up()
        return drive(steps, self._answer, (LinkError, StoreError))

    def _answer(self, step: Pipeline | Pause) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        pool = self._pools.get(step.place)
        if pool is None:  # two threads may come here at once: both use the first pool in the dict
            pool = self._pools.setdefault(step.place, _Pool(self.settings, step.place))
        return pool.ask(step)


class _Pool:
    """Connections to one server, opened when needed. The last one used is lent first."""

    def __init__(self, settings: Settings, place: Place) -> None:
        self._settings = settings
        self._place = place
        self._greeting = greeting_for(settings, place)
        self._idle: list[Link] = []
        self._in_use: set[Link | None] = set()
        self._leave = threading.BoundedSemaphore(settings.pool_size)
        self._is_closed = False

    def ask(self, pipeline: Pipeline) -> list[Any]:
        """Return the replies; raise :class:`LinkError`, or ``StoreBusy`` if all connections are in use."""
        if not self._leave.acquire(timeout=self._settings.timeout):
            raise StoreBusy("all connections to Redis were in use for longer than the time limit")
        link = None
        try:
            link = self._borrow(pipeline.limit or self._settings.timeout)
            self._in_use.add(link)
            replies = link.ask(pipeline.commands, alone=len(self._in_use) == 1)
            if link.leads_astray:
                link.close()
                self.close_idle()
            elif self._is_closed:  # closed meanwhile, and nobody will come again to close this one
                link.close()
            else:
                self._idle.append(link)
            return replies
        except LinkError:
            self.close_idle()  # the other connections there are as old
            raise
        finally:
            self._in_use.discard(link)
            self._leave.release()

    def _borrow(self, limit: float) -> Link:
        try:
            link = self._idle.pop()
        except IndexError:
            return Link(self._settings, self._place, self._greeting, limit)
        if time.monotonic() - link.used_at <= idle.MAX_IDLE:
            return link
        link.close()
        self.close_idle()  # the others were unused for longer
        return Link(self._settings, self._place, self._greeting, limit)

    def close_idle(self) -> None:
        links, self._idle = self._idle, []
        for link in links:
            link.close()

    def close(self) -> None:
        self._is_closed = True
        self.close_idle()
