"""Puts fluidauth's middleware in the place of Starlette's, for Starlette's own tests."""

from __future__ import annotations

import os
from typing import Any

import starlette.middleware.sessions

from fluidauth import MemoryStore
from fluidauth.integrations.starlette import SessionMiddleware
from fluidauth.keys import new_secret


class Adapted(SessionMiddleware):
    """With a strong secret: theirs is ``"example"``, which is refused."""

    def __init__(self, app: Any, secret_key: str, **options: Any) -> None:
        if os.environ["FLUIDAUTH_CANARY"]:
            raise AssertionError("the canary")
        super().__init__(app, new_secret(), store=MemoryStore(), **options)


starlette.middleware.sessions.SessionMiddleware = Adapted  # type: ignore[assignment, misc]  # what an adapter is for
