"""An engine's sessions as a store of Litestar's, under their handles, as ``litestar sessions`` wants one."""

from __future__ import annotations

from datetime import timedelta

from litestar.serialization import decode_json, encode_json
from litestar.stores.base import Store

from fluidauth.engine import SessionEngine
from fluidauth.errors import NoSuchSession, PayloadError


class SessionsAsStore(Store):
    """The sessions of *engine*: each key is a handle, each value its fields as JSON.

    It begins no session: knowing a handle must not give anybody a session.
    """

    def __init__(self, engine: SessionEngine) -> None:
        self.engine = engine

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return the fields of the live session under *key*; let it idle for *renew_for* seconds from now."""
        session = await self.engine.aget_session(key)
        if session is not None and renew_for is not None:
            await self.engine.aextend_session(key, renew_for)
        return None if session is None else encode_json(dict(session))

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Give the live session under *key* the fields in *value*, and let it idle for *expires_in* seconds.

        Raise :class:`NoSuchSession` if there is none, :class:`PayloadError` if *value* is no JSON object.
        """
        fields = decode_json(value)
        if not isinstance(fields, dict):
            raise PayloadError(f"the fields of a session are a dict, not {type(fields).__name__}")
        async with self.engine.aedit(key) as session:
            session.become(fields)
        if expires_in is not None and not await self.engine.aextend_session(key, expires_in):
            raise NoSuchSession("no live session has this handle")

    async def delete(self, key: str) -> None:
        """End the session under *key*, if it is live."""
        await self.engine.adelete_session(key)

    async def delete_all(self) -> None:
        """End every session of the engine's namespace."""
        await self.engine.arevoke_all()

    async def exists(self, key: str) -> bool:
        """Return whether the session under *key* is live."""
        return await self.engine.aget_session(key) is not None

    async def expires_in(self, key: str) -> int | None:
        """Return the seconds after which the session under *key* expires unused; None if there is none."""
        session = await self.engine.aget_session(key)
        if session is None or session.expires_at is None:
            return None
        return max(0, session.expires_at - self.engine.requests.now())
