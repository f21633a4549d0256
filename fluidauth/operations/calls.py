"""What operations ask for, with the type of each answer: ``record = yield from calls.get(handle)``.

Each is a method of a store, with its contract in ``stores.base``. Only the last two are not: the runner
answers those.
"""

from __future__ import annotations

from fluidauth.records import SessionRecord

from .runner import LOCK, PAUSE, Steps


def get(handle: str) -> Steps[SessionRecord | None]:
    record: SessionRecord | None = yield ("get", handle)
    return record


def create(record: SessionRecord) -> Steps[None]:
    yield ("create", record)


def update(record: SessionRecord) -> Steps[bool]:
    done: bool = yield ("update", record)
    return done


def delete(handle: str, version: int | None = None) -> Steps[bool]:
    done: bool = yield ("delete", handle, version)
    return done


def clean(now: int, limit: int) -> Steps[int]:
    count: int = yield ("clean", now, limit)
    return count


def touch(handle: str, expires_at: int) -> Steps[bool]:
    done: bool = yield ("touch", handle, expires_at)
    return done


def replace(tombstone: SessionRecord, record: SessionRecord) -> Steps[bool]:
    done: bool = yield ("replace", tombstone, record)
    return done


def list_for_user(user_id: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
    page: list[SessionRecord] = yield ("list_for_user", user_id, after, limit)
    return page


def delete_for_user(user_id: str, except_handle: str | None) -> Steps[int]:
    count: int = yield ("delete_for_user", user_id, except_handle)
    return count


def lock(handle: str) -> Steps[None]:
    """Hold this process's lock for the session *handle* until the steps end."""
    yield (LOCK, handle)


def pause() -> Steps[None]:
    """Let other processes use the store for a moment."""
    yield (PAUSE,)
