"""Commit together what several callers ask for at once: one transaction, one wait for the disk.

Whoever comes while nothing is under way leads: it carries out its own write at once. Who
comes meanwhile queues up, and all of the queue is the next transaction, led by the first
in it. Asynchronous callers are gathered for one turn of their event loop and then led by
a thread, so that no loop waits for the disk; but for a lone write while the disk is quick,
which costs less than two changes of thread, and any while it takes no time at all.

Requests a second that change a key, 32 at a time in one process with full durability, alone
and beside a thread that computes (``benchmarks/group_commit.py``):

======================================================  ====  ===
each commits on the loop                                3400   85
each hops to a thread and commits there                 1950   81
a thread commits what has queued up                     6120  264
the same in one statement                               6080  466
a thread commits a turn's writes                        9180  406
**a thread commits a turn's writes in one statement**   9080  720
======================================================  ====  ===

To commit on the loop without waiting for the disk, and let a thread wait once for all, was
tried and is no faster: 6,400 and 380 one by one, 9,700 and 530 turn by turn.

What counts beside a computing thread is how often the writer lets go of the interpreter's
lock: each time it may wait 5 ms to get it back. A turn's writes as one statement let go of
it about as often as one write does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from fluidauth.after_fork import renew_in_child
from fluidauth.errors import StoreBusy, StoreError

T = TypeVar("T")

_PENDING: Any = object()
MAX_BATCH = 256  # writes in one transaction, so that other processes get their turn
CLOSE_LIMIT = 5.0  # seconds that close() waits where writes never cease
QUICK = 0.0005  # seconds; a commit that takes less costs a loop less than two changes of thread
INSTANT = 0.0001  # seconds; a commit that takes less costs a loop less than to gather a turn's
_DECAY = 0.9  # how much of a slow commit is remembered at the next one


class Write(Generic[T]):
    """One call's work, and what became of it.

    *work* is called with what the store passes on, then *values*. Unless *durable*, the
    write need not be on disk before it counts as done.
    """

    __slots__ = ("answer", "durable", "error", "values", "work")

    def __init__(self, work: Callable[..., T], *values: Any, durable: bool = True) -> None:
        self.work = work
        self.values = values
        self.durable = durable
        self.answer: T = _PENDING
        self.error: Exception | None = None

    def reset(self) -> None:
        """Forget what became of it: that was undone."""
        self.answer = _PENDING
        self.error = None

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        if self.answer is _PENDING:  # whoever led was interrupted, as by Ctrl-C
            raise StoreError("the write was interrupted")
        return self.answer


class _Party(Protocol):
    """Who waits in the queue, with one write or several."""

    leads: bool
    """Whether it was chosen to lead; set with the lock held."""

    @property
    def writes(self) -> Sequence[Write[Any]]: ...

    def lead(self) -> None:
        """Carry out the queue; called without the lock."""

    def finish(self) -> None:
        """Go on: every write has its outcome."""


class _Thread:
    """A blocked thread with one write."""

    def __init__(self, write: Write[Any]) -> None:
        self.writes = (write,)
        self.leads = False
        self._wake = threading.Event()

    def lead(self) -> None:
        self._wake.set()

    def finish(self) -> None:
        self._wake.set()

    def wait(self) -> bool:
        """Return whether this thread is to lead; if not, its write is done."""
        self._wake.wait()
        return self.leads


class _Tasks:
    """What the tasks of one event loop asked for in one of its turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lead: Callable[[], object]) -> None:
        self.writes: list[Write[Any]] = []
        self.futures: list[asyncio.Future[None]] = []
        self.leads = False
        self._lead = lead
        self._loop = loop

    def lead(self) -> None:
        self._lead()

    def finish(self) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.resolve)

    def resolve(self) -> None:
        for future in self.futures:
            if not future.done():  # cancelled: the write was carried out all the same
                future.set_result(None)


class GroupCommit:
    """A queue of writes before *carry_out*, which one caller at a time runs for all.

    *carry_out* gives every write its answer or error, and raises nothing; its second
    argument says whether it may wait for a lock. It runs in the caller's thread where
    nobody else writes: then nothing is slower than without a queue. So does the lone
    write of an event loop, as long as the disk answers at once.
    """

    def __init__(
        self, carry_out: Callable[[Sequence[Write[Any]], bool], None], max_batch: int = MAX_BATCH
    ) -> None:
        self._carry_out = carry_out
        self._max_batch = max_batch
        self._slowest = QUICK  # seconds that commits took of late
        self._start()
        renew_in_child(self, GroupCommit._start)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)  # told when nobody leads any more
        self._queue: deque[_Party] = deque()
        self._led = False
        self._closers = 0  # who wait for that
        self._gathering: dict[asyncio.AbstractEventLoop, _Tasks] = {}
        self._executor: ThreadPoolExecutor | None = None

    def run(self, write: Write[T]) -> T:
        """Carry out *write*, with others' if some wait; return its answer or raise its error."""
        me = None
        with self._lock:
            if self._led:
                me = _Thread(write)
                self._queue.append(me)
            self._led = True
        if me is None:
            try:
                self._commit((write,))
            finally:
                self.pass_on()
        elif self._is_to_lead(me):
            self._lead()
        return write.result()

    def takes_lead(self) -> bool:
        """Return whether the caller leads, as nobody did: it may write, and then must :meth:`pass_on`."""
        with self._lock:
            if self._led:
                return False
            self._led = True
            return True

    async def arun(self, write: Write[T]) -> T:
        """Do as :meth:`run` on asyncio; *write* is carried out even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        tasks = self._gathering.get(loop)
        if tasks is None and self._slowest < INSTANT and self._done_at_once(write):
            return write.result()
        if tasks is None or len(tasks.writes) >= self._max_batch:
            for other in [other for other in self._gathering if other.is_closed()]:
                del self._gathering[other]  # it ended amid a turn, and whoever asked with it
            tasks = self._gathering[loop] = _Tasks(loop, self._lead_in_thread)
            loop.call_soon(self._end_turn, loop, tasks)
        future = loop.create_future()
        tasks.writes.append(write)
        tasks.futures.append(future)
        await future
        return write.result()

    def close(self) -> None:
        """Wait until what has queued up is carried out, and end the thread; a later write starts anew."""
        with self._lock:
            self._closers += 1
            try:
                self._quiet.wait_for(lambda: not self._led, CLOSE_LIMIT)
            finally:
                self._closers -= 1
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()

    # -- who leads -----------------------------------------------------------------

    def _is_to_lead(self, me: _Thread) -> bool:
        try:
            return me.wait()
        except BaseException:  # a signal's handler raised: nobody waits here any more
            with self._lock:
                with suppress(ValueError):
                    self._queue.remove(me)
                leads = me.leads
            if leads:
                self.pass_on()
            raise

    def _end_turn(self, loop: asyncio.AbstractEventLoop, tasks: _Tasks) -> None:
        if self._gathering.get(loop) is tasks:
            del self._gathering[loop]
        with self._lock:
            leads, self._led = not self._led, True
            if not leads:
                self._queue.append(tasks)
        if leads and not (self._slowest < QUICK and len(tasks.writes) == 1 and self._done_here(tasks)):
            with self._lock:
                self._queue.appendleft(tasks)
            tasks.lead()

    def _done_at_once(self, write: Write[Any]) -> bool:
        """Carry out *write* on its event loop, amid the turn; return whether nothing was in the way."""
        if not self.takes_lead():
            return False
        try:
            self._commit((write,), may_wait=False)
        finally:
            self.pass_on()
        if isinstance(write.error, StoreBusy):
            write.reset()
            return False
        return True

    def _done_here(self, tasks: _Tasks) -> bool:
        """Carry out a lone write on its event loop; return whether no lock was in the way."""
        is_done = True
        try:
            self._commit(tasks.writes, may_wait=False)
            is_done = not isinstance(tasks.writes[0].error, StoreBusy)
        finally:
            if is_done:
                tasks.resolve()
                self.pass_on()
        return is_done

    def _lead_in_thread(self) -> None:
        try:
            with self._lock:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(1, thread_name_prefix="fluidauth-writer")
                self._executor.submit(self._lead)
        except RuntimeError:  # at the interpreter's end no thread can be had
            self._lead()

    def _lead(self) -> None:
        """Carry out what has queued up by now, in the caller's thread."""
        parties, writes = self._next_batch()
        try:
            self._commit(writes)
        finally:
            for party in parties:
                party.finish()
            self.pass_on()

    def _commit(self, writes: Sequence[Write[Any]], may_wait: bool = True) -> None:
        start = time.perf_counter()
        self._carry_out(writes, may_wait)
        self._slowest = max(time.perf_counter() - start, self._slowest * _DECAY)

    def _next_batch(self) -> tuple[list[_Party], list[Write[Any]]]:
        parties: list[_Party] = []
        writes: list[Write[Any]] = []
        with self._lock:
            while self._queue and (
                not parties or len(writes) + len(self._queue[0].writes) <= self._max_batch
            ):
                parties.append(self._queue.popleft())
                writes.extend(parties[-1].writes)
        return parties, writes

    def pass_on(self) -> None:
        """Let the first in the queue lead, if anybody waits."""
        with self._lock:
            following = self._queue[0] if self._queue else None
            self._led = following is not None
            if following is not None:
                following.leads = True
            elif self._closers:
                self._quiet.notify_all()
        if following is not None:
            following.lead()
