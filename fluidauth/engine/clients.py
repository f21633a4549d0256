"""What an engine does for clients that are no browsers: it makes tokens, and opens the sessions they name."""

from __future__ import annotations

from typing import Any

from fluidauth.errors import ConfigError, StoreError
from fluidauth.formats import client_tokens
from fluidauth.operations import manage
from fluidauth.operations.lookup import Live
from fluidauth.operations.runner import Steps
from fluidauth.records import Lifetime, check_user_id
from fluidauth.rules.saving import Outcome
from fluidauth.session import Session

from .all_sessions import AllSessions
from .outside import READ_ONLY, visit_outside


class Clients(AllSessions):
    """The calls of an engine that concern tokens for clients: its option *client_tokens*."""

    def create_client_token(
        self, user_id: str, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> tuple[str, Session]:
        """Begin a session for a client of *user_id*; return its token, a secret, and the session.

        The client sends ``Authorization: Bearer`` and the token. No response replaces the token. So it opens
        nothing after its key was revoked. Raise :class:`ConfigError` without ``client_tokens=True``.
        """
        return self._token_of(self._run(self._beginning(user_id, data, lifetime), "create"))

    async def acreate_client_token(
        self, user_id: str, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> tuple[str, Session]:
        """Do as :meth:`create_client_token`, without blocking."""
        return self._token_of(await self._arun(self._beginning(user_id, data, lifetime), "create"))

    def open_client_token(self, token: str) -> Session | None:
        """Return the session that a client's *token* opens, for reading; None if there is none."""
        steps = self._opening(token)
        del token  # a traceback that prints locals must not show it while the store fails
        return self._reading(self._run(steps, "get"))

    async def aopen_client_token(self, token: str) -> Session | None:
        """Do as :meth:`open_client_token`, without blocking."""
        steps = self._opening(token)
        del token  # as above
        return self._reading(await self._arun(steps, "get"))

    # -- helpers -----------------------------------------------------------------

    def _beginning(
        self, user_id: str, data: dict[str, Any] | None, lifetime: Lifetime | None
    ) -> Steps[Outcome]:
        self._check_enabled()
        check_user_id(user_id)
        return manage.begin(self.policy, user_id, data, lifetime, self._now(), client=True)

    def _opening(self, token: str) -> Steps[Live | None]:
        self._check_enabled()
        return manage.open_client(self.policy, token, self._now())

    def _check_enabled(self) -> None:
        if not self.policy.client_tokens:
            raise ConfigError("this engine has no tokens for clients; give it client_tokens=True")

    def _token_of(self, outcome: Outcome) -> tuple[str, Session]:
        record, body, credential = outcome.record, outcome.body, outcome.credential
        self.requests.report(outcome.notices)
        if record is None or body is None or credential is None:
            raise StoreError("the new session was not stored")
        key = self.policy.keyring.find(record.kid) or self.policy.keyring.signing
        token = client_tokens.sign(key, credential.session_id)
        return token, Session(visit_outside(self.requests, Live(record, body), READ_ONLY))

    def _reading(self, live: Live | None) -> Session | None:
        return None if live is None else Session(visit_outside(self.requests, live, READ_ONLY))
