"""How long one call to Redis goes on trying, whatever gets in its way."""

from __future__ import annotations

import time

from hiredis import ReplyError

from fluidauth.errors import StoreBusy, StoreError

from .connection import LinkError
from .refusals import refusal
from .url import Settings


class Attempts:
    """How long one call goes on trying."""

    def __init__(self, settings: Settings) -> None:
        self._is_single = settings.kind == "single"
        self._give_up = time.monotonic() + settings.timeout
        self._refused = 0
        self.count: int = 0

    def after_loss(self, error: LinkError) -> None:
        """Return if another connection should be tried; if not, raise the store's own error."""
        self.count += 1
        if time.monotonic() >= self._give_up or (self._is_single and not error.sent):
            raise StoreError(f"Redis does not answer: {error}") from error

    def after_readonly(self, problem: ReplyError) -> None:
        """Return if a primary may be found: by a name alone, over a new connection and never again."""
        self._refused += 1
        if self._is_single and self._refused > 1:
            raise refusal(problem)

    def check_time(self, problem: object) -> None:
        """Raise if there is none left."""
        if time.monotonic() >= self._give_up:
            raise StoreBusy(f"Redis is not ready: {problem}")
