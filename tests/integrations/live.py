"""An application on a real server in this process, which tests look into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import uvicorn

from harness.servers.ports import free_port
from tests.support import settled


@contextmanager
def live(app: Any) -> Iterator[str]:
    """Serve *app* by uvicorn, from its lifespan's beginning to its end; give its URL."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="on"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        assert settled(lambda: server.started or not thread.is_alive(), wanted=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
