"""A session engine that an application derived from ours."""

from __future__ import annotations

from fluidauth.integrations.django import SessionStore as Ours


class SessionStore(Ours):
    def greeting(self) -> str:
        return "hello"
