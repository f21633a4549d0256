"""The header of the index of a write-ahead log, in memory: 48 bytes that change with every commit.

The index is in the file ``-shm``, which all processes map (https://www.sqlite.org/walformat.html).
Its first 48 bytes have a counter of commits and the number of the last frame of the log. Salts and checksums
over all frames follow. SQLite compares the same bytes to decide whether the pages that it holds in memory are
still good. So do we.

**Torn reads.** The header stands there twice. A commit writes the second copy, passes a memory barrier, and
writes the first one. Only then does it give up its lock and return. We read the first copy, maybe in the
middle of that write. Each commit moves the counter. So if all bytes are as before, the counter was read
before the commit wrote it. The commit was not done at that moment, and the former state was the right answer.
Bytes of which half are new are never equal to a header that was or will be. If a process dies within the
write, the next reader recovers the index. It writes a header with the checksums of the log as it is then.

**Locks.** If a process closes any descriptor of a file, it loses all its POSIX locks on that file. Those of
SQLite's connections are among them. So a process maps each ``-shm`` file once. The descriptor stays open
until the file has no name any more, and no connection of ours is left. SQLite removes the file with the last
connection of all processes. Python's ``mmap`` would keep a second descriptor, and close it at the
interpreter's end, when other threads may still commit. So ``mmap(2)`` is called directly.

**Faults.** A connection of this process must be open during each read of these bytes. While there is none,
another process may shorten the file, and then a read would end this process.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import weakref
from typing import Any, NamedTuple, Protocol

from fluidauth.after_fork import ProcessLock

from .opening import Identity, identity_of

try:
    import ctypes
except ImportError:  # a Python without libffi
    ctypes = None  # type: ignore[assignment]

HEADER_LENGTH = 48
MAX_MAPPINGS = 100  # of one process, each with a descriptor; more files are read without
_FAILED = (1 << 64) - 1
_VERSION = 3_007_000  # of the format, in all versions of SQLite that write one
_FIELDS = struct.Struct("=I4xIBBH")  # version, counter of commits, whether it is valid, byte order, page size
_MODULUS = 1 << 32


class Holder(Protocol):
    """What has connections to a file, and may have a view of its header."""

    @property
    def is_open(self) -> bool: ...


class _Mapping(NamedTuple):
    descriptor: int
    address: int | None
    """None if it could not be mapped."""
    database: Identity | None
    holders: weakref.WeakSet[Holder]

    def is_in_use(self) -> bool:
        return any(each.is_open for each in self.holders)

    def is_done(self) -> bool:
        """Return whether nobody can have a lock that would be lost."""
        return not os.fstat(self.descriptor).st_nlink and not self.is_in_use()


_mappings: dict[Identity, _Mapping] = {}
_lock = ProcessLock()


def view_of(
    path: str, identity: Identity | None, database: Identity | None, holder: Holder
) -> memoryview | str:
    """Return a view of the header in the index at *path*, for *holder*, which has a connection open.

    Return why there is none if the file is not the one of this *identity*, or if it cannot be mapped or read.
    All connections of a process to one *database* share an index, even after that file was replaced.
    """
    if not is_supported():
        return "this system or Python cannot map the index of the log"
    if identity is None:
        return "the log has no index"
    with _lock:
        _let_go()
        if any(
            other.database == database and other.is_in_use()
            for known, other in _mappings.items()
            if known != identity
        ):
            return "the index of the log was replaced while it was in use"
        mapping = _mappings.get(identity) or _map(path, identity, database)
        if mapping is None or mapping.address is None:
            return f"the index of the log cannot be mapped, or {MAX_MAPPINGS} others are"
        mapping.holders.add(holder)
    page = (ctypes.c_ubyte * HEADER_LENGTH).from_address(mapping.address)
    view = memoryview(page).cast("B").toreadonly()
    version, _, is_valid, _, _ = _FIELDS.unpack_from(view)
    return view if version == _VERSION and is_valid == 1 else "the index of the log has an unknown format"


def follows(later: bytes, earlier: bytes) -> bool:
    """Return whether the counter of the header *later* is one above that of *earlier*."""
    before, after = _FIELDS.unpack_from(earlier)[1], _FIELDS.unpack_from(later)[1]
    return bool((after - before) % _MODULUS == 1)


def is_supported() -> bool:
    return (
        os.name == "posix"
        and ctypes is not None
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and sys.implementation.name == "cpython"
        # A view that is given up while another thread reads it is safe only under the interpreter's lock.
        and getattr(sys, "_is_gil_enabled", lambda: True)()
    )


def _map(path: str, identity: Identity, database: Identity | None) -> _Mapping | None:
    if len(_mappings) >= MAX_MAPPINGS or identity_of(path) != identity:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    found = os.fstat(descriptor)
    address: int | None = None
    if (found.st_dev, found.st_ino) == identity and found.st_size >= mmap.PAGESIZE:
        address = _libc().mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    # Kept even if it is of no use: to close the descriptor would cost others their locks.
    mapping = _Mapping(descriptor, None if address == _FAILED else address, database, weakref.WeakSet())
    return _mappings.setdefault((found.st_dev, found.st_ino), mapping) if address is not None else None


def _let_go() -> None:
    """Unmap the files that are gone, and close their descriptors."""
    for identity, mapping in list(_mappings.items()):
        if mapping.is_done():
            del _mappings[identity]
            if mapping.address is not None:
                _libc().munmap(mapping.address, mmap.PAGESIZE)
            os.close(mapping.descriptor)


def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc
