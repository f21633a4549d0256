"""Puts fluidauth's sessions in the place of Flask's, for Flask's own tests."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import flask

from fluidauth import MemoryStore, SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface
from fluidauth.keys.named import NamedSecrets


class Adapted(FluidAuthSessionInterface):
    """With strong secrets, made of theirs: ``"test key"`` is refused."""

    def _build(self, secrets: NamedSecrets, app: Any) -> SessionEngine:
        strong = [hashlib.sha512(repr(secret).encode()).hexdigest() for secret in secrets.secrets]
        return super()._build(NamedSecrets(strong), app)

    def open_session(self, app: Any, request: Any) -> Any:
        if os.environ["FLUIDAUTH_CANARY"]:
            raise AssertionError("the canary")
        return super().open_session(app, request)


flask.Flask.session_interface = Adapted(store=MemoryStore())
