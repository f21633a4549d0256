"""The visit of one ``SessionStore`` of Django, which has the value of a cookie, and no request."""

from __future__ import annotations

from fluidauth.engine.requests import Requests
from fluidauth.engine.visit import Visit
from fluidauth.formats.request_head import RequestHead
from fluidauth.secrecy import without_locals
from fluidauth.session.state import State

from .serving import request_head, served_since


class DjangoVisit(Visit):
    """A visit that knows of the request around it, if our middleware serves that."""

    __slots__ = ()

    def __init__(self, requests: Requests, cookies: str = "") -> None:
        super().__init__(requests, cookies)
        since = served_since()
        if since is not None:
            self.since: float = since

    def request_head(self) -> RequestHead | None:
        return request_head()


class TokenVisit(DjangoVisit):
    """A visit under the cookie value *token*. Its errors show no local variables."""

    __slots__ = ()

    def __init__(self, requests: Requests, token: str) -> None:
        super().__init__(requests, f"{requests.policy.cookie.name}={token}")
        self.token: str | None = token

    @without_locals
    def load(self) -> State:
        return super().load()

    @without_locals
    async def aload(self) -> State:
        return await super().aload()
