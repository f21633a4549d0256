"""The calls of an engine, blocking or awaited."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any

from fluidauth import SessionEngine


class Calls:
    """The engine's methods by their plain names, blocking or through their twins."""

    def __init__(self, engine: SessionEngine, twins: bool) -> None:
        self.engine, self.twins = engine, twins

    def __getattr__(self, name: str) -> Any:
        if not self.twins:
            return getattr(self.engine, name)
        method = getattr(self.engine, f"a{name}")
        if name == "edit":
            return lambda handle: _Entered(method(handle))
        return lambda *args, **options: asyncio.run(method(*args, **options))


class _Entered(AbstractContextManager[Any]):
    """An asynchronous context manager, entered and left on one event loop."""

    def __init__(self, manager: Any) -> None:
        self._manager, self._runner = manager, asyncio.Runner()

    def __enter__(self) -> Any:
        try:
            return self._runner.run(self._manager.__aenter__())
        except BaseException:
            self._runner.close()
            raise

    def __exit__(self, *exc_info: Any) -> None:
        try:
            self._runner.run(self._manager.__aexit__(*exc_info))
        finally:
            self._runner.close()
