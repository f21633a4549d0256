"""What a session says of itself, besides its fields: whose it is, since when and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazydict import LazyDict
from .notes import methods_in
from .state import State


class Facts(LazyDict):
    """Properties of a session. Each of them loads it."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _read(self) -> State: ...

    @property
    def user_id(self) -> str | None:
        """The user signed in, or None."""
        return self._read().user_id

    @property
    def is_authenticated(self) -> bool:
        return self._read().user_id is not None

    @property
    def is_new(self) -> bool:
        """Whether no stored session stands behind this one yet."""
        return (state := self._read()).record is None or state.detached

    @property
    def auth_time(self) -> int | None:
        """When the user signed in, in Unix seconds, or None."""
        return self._read().auth_time

    @property
    def methods(self) -> dict[str, int]:
        """How the user authenticated: each method, and when it was used last, in Unix seconds."""
        return methods_in(self._read().notes)

    @property
    def handle(self) -> str | None:
        """The digest that names this session in the store, in logs and in admin calls.

        It opens nothing. None until the session is stored.
        """
        return (record := self._read().stored) and record.handle

    @property
    def created_at(self) -> int | None:
        """Unix seconds; None until the session is stored."""
        return (record := self._read().stored) and record.created_at

    @property
    def ends_at(self) -> int | None:
        """The absolute deadline, in Unix seconds; None until the session is stored."""
        state = self._read()
        return None if state.stored is None or state.body is None else state.body.deadline

    @property
    def expires_at(self) -> int | None:
        """The earlier of idle and absolute deadline, in Unix seconds; None until stored."""
        return (record := self._read().stored) and record.expires_at
