"""Puts fluidauth's sessions in the place of Flask's, for Flask's own tests."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

import flask

from fluidauth import MemoryStore, SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface


class Adapted(FluidAuthSessionInterface):
    """With strong secrets, made of theirs: ``"test key"`` is refused."""

    def _build(self, secrets: list[str | bytes], lasts: timedelta) -> SessionEngine:
        strong: list[str | bytes] = [hashlib.sha512(repr(secret).encode()).hexdigest() for secret in secrets]
        return super()._build(strong, lasts)

    def open_session(self, app: Any, request: Any) -> Any:
        if os.environ["FLUIDAUTH_CANARY"]:
            raise AssertionError("the canary")
        return super().open_session(app, request)


flask.Flask.session_interface = Adapted(store=MemoryStore())
