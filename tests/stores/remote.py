"""What our own stores on servers promise besides the public contract."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from typing import Any

import pytest
import trio

from fluidauth import ConfigError
from fluidauth.stores.idle import MAX_IDLE
from fluidauth.stores.urls import store_from_url
from fluidauth.testing import RemoteServer, RemoteStoreContract, make_record
from fluidauth.testing.remote import numbered

LOST_ANSWERS = (
    "test_change_that_was_lost_is_made_once",
    "test_change_whose_answer_was_lost_is_made_once",
    "test_swap_that_another_won_is_not_taken_for_ours",
)
LOST_TOGETHER = "test_many_whose_answer_was_lost_are_made_once"
CUT_SHORT = "test_change_whose_answer_was_cut_short_is_made_once"
FORGOTTEN = "test_connections_that_were_forgotten_on_the_way_cost_one_failure"
FROZEN = "test_frozen_server_is_an_error_within_the_time_limit"
KILLED = "test_killed_server_keeps_what_was_acknowledged"
FORKED = (
    "test_forked_process_has_connections_of_its_own",
    "test_process_forked_in_c_has_connections_of_its_own",
)
CANCELLED = "test_cancelled_reads_mix_up_no_records"


class OwnServer(RemoteServer):
    """A server that the tests started, and the asynchronous twins of the stores on it."""

    server: Any
    make_store: Any

    def kill_server(self) -> None:
        self.server.kill()

    def start_server(self) -> None:
        self.server.start()

    def freeze_server(self) -> None:
        self.server.freeze()

    def thaw_server(self) -> None:
        self.server.thaw()

    def make_async_store(self, port: int | None, **options: Any) -> Any:
        return self.make_store(port, **options).async_twin()

    def idle_links(self, store: Any) -> list[Any]:
        """Return the connections of *store* that nobody uses now."""
        raise NotImplementedError

    @pytest.mark.requirement("53")
    def test_what_lay_unused_for_a_minute_is_not_used_again(
        self: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It may have been forgotten on the way by now; no call finds that out by waiting in vain.

        That is a matter of course, of which nobody is warned.
        """
        self.store.create(numbered(1))
        self.read_at_once(numbered(1).handle)
        links = self.idle_links(getattr(self.store, "awaited", self.store))
        for link in links:
            link.used_at -= MAX_IDLE

        self.proxy.forget()
        caplog.clear()

        assert links
        assert self.store.get(numbered(1).handle) == numbered(1)
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []

    def test_connections_are_kept_alive(self: Any) -> None:
        """So that what lies on the way remembers them, and their end is noticed."""
        self.store.create(numbered(1))

        for link in self.idle_links(getattr(self.store, "awaited", self.store)):
            with closing(socket.socket(fileno=os.dup(self.descriptor_of(link)))) as found:
                assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == self.limit * 1000

    def descriptor_of(self, link: Any) -> int:
        raise NotImplementedError


class OwnRemoteContract(RemoteStoreContract):
    """For a store whose URLs begin with its :attr:`extra`'s scheme."""

    extra: str
    """The extra that brings the driver, and the name of the package below ``fluidauth.stores``."""

    url: str
    """A URL of such a store, of a server that need not be there."""

    def test_trio_uses_the_blocking_side(self) -> None:
        record: Any = make_record()
        with closing(self.opened(None)) as store:
            store.create(record)

            assert trio.run(store.async_twin().get, record.handle) == record

    def test_missing_driver_is_named_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, f"fluidauth.stores.{self.extra}", None)

        with pytest.raises(ConfigError, match=rf"pip install 'fluidauth\[{self.extra}\]'"):
            store_from_url(self.url)


def check_refused(url: str, message: str) -> None:
    """Fail unless *url* is refused with *message*, and without the password in it."""
    with pytest.raises(ConfigError, match=message) as caught:
        store_from_url(url)
    assert "hunter2" not in str(caught.value)
