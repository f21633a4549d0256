"""How long one call to Redis is tried again, for all causes together."""

from __future__ import annotations

import time

from hiredis import ReplyError

from fluidauth.errors import StoreBusy, StoreError

from .connection import LinkError
from .refusals import refusal
from .url import Settings


class Attempts:
    """How long one call is tried again."""

    def __init__(self, settings: Settings) -> None:
        self._is_single = settings.kind == "single"
        self._give_up = time.monotonic() + settings.timeout
        self._refused = 0
        self.count: int = 0

    def after_loss(self, error: LinkError) -> None:
        """Return if another connection should be tried. If not, raise the store's own error."""
        self.count += 1
        if time.monotonic() >= self._give_up or (self._is_single and not error.sent):
            raise StoreError(f"Redis does not answer: {error}") from error

    def after_readonly(self, problem: ReplyError) -> None:
        """Return if a new connection may lead to a primary: only by a host name, and only once."""
        self._refused += 1
        if self._is_single and self._refused > 1:
            raise refusal(problem)

    def check_time(self, problem: object) -> None:
        """Raise if there is no time left."""
        if time.monotonic() >= self._give_up:
            raise StoreBusy(f"Redis is not ready: {problem}")
