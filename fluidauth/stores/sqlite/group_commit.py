"""Commit together what several callers ask for at once: one transaction, one wait for the disk.

If nothing is under way, a caller leads: it carries out its own write at once. Callers that come meanwhile
queue up. The whole queue is the next transaction, and the first caller in it leads. The async writes of one
loop iteration are committed together by a thread, so the loop never waits for the disk. Two exceptions run on
the loop, because a change of thread would cost more. These are a single write while commits take under 0.5
ms, and any write while they take under 0.1 ms.

Another process may hold SQLite's lock. A thread waits for it, not the event loop. What queues up meanwhile
joins the transaction that waits. After a slow commit the lock stays free for a moment, so the other process
gets it. Without the two, p99 over HTTP is twice as long on a slow disk (``benchmarks/tail.py``).

Requests per second that change a key, 32 at a time in one process with full durability. The first column is
without other work, the second during a thread that computes (``benchmarks/group_commit.py``):

======================================================  ====  ===
each commits on the loop                                3400   85
each hops to a thread and commits there                 1950   81
a thread commits what has queued up                     6120  264
the same in one statement                               6080  466
a thread commits a turn's writes                        9180  406
**a thread commits a turn's writes in one statement**   9080  720
======================================================  ====  ===

We also tried to commit on the loop without waiting for the disk, while a thread waits once for all. It is not
faster: 6,400 and 380 one by one, 9,700 and 530 turn by turn. Other processes would also see, and acknowledge,
what a power cut may undo.

During a computing thread it matters how often the writer releases the interpreter's lock. Each time it may
wait 5 ms to get it back. A turn's writes as one statement release it about as often as one write does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from fluidauth.after_fork import catch_up, renew_in_child
from fluidauth.errors import StoreBusy

from .locking import RETRY
from .waiting import Join, Party, WaitingTasks, WaitingThread, Write, nobody

T = TypeVar("T")

MAX_BATCH = 256  # writes in one transaction
CLOSE_LIMIT = 5.0  # seconds that close() waits if writes never cease
QUICK = 0.0005  # seconds; a shorter commit costs a loop less than two changes of thread
INSTANT = 0.0001  # seconds; a shorter commit costs a loop less than gathering a turn's writes
_DECAY = 0.9  # how much of a slow commit is remembered at the next one
_PAUSE = 2 * RETRY  # seconds between two slow commits at most, so that a process that waits gets the lock
_SHARE = 4  # a pause lasts one in so many parts of the commit; below RETRY it would help nobody
_REMEMBERED = 1.0  # seconds that another process is reckoned with after this one had to wait for it


class GroupCommit:
    """A queue of writes before *carry_out*, which one caller at a time runs for all.

    The function *carry_out* gives every write its answer or error, and raises nothing. Its
    second argument says whether it may wait for a lock. If it had to, it calls the third, which
    takes what has queued up since into the first. If nobody else writes, it runs in the
    caller's thread, so nothing is slower than without a queue. A single write of an event loop
    also runs there, as long as the disk answers at once.
    """

    def __init__(
        self, carry_out: Callable[[Sequence[Write[Any]], bool, Join], None], max_batch: int = MAX_BATCH
    ) -> None:
        self._carry_out = carry_out
        self._max_batch = max_batch
        self._slowest = QUICK  # seconds that commits took lately
        self._pause_ends = 0.0  # on the clock of perf_counter, as the next
        self._contended_until = 0.0
        self._start()
        renew_in_child(self, GroupCommit._start)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)  # notified when nobody leads any more
        self._queue: deque[Party] = deque()
        self._led = False  # whether a caller has the lead: only it carries out writes
        self._closers = 0  # how many wait for that
        self._gathering: dict[asyncio.AbstractEventLoop, WaitingTasks] = {}
        self._executor: ThreadPoolExecutor | None = None

    def run(self, write: Write[T]) -> T:
        """Carry out *write*, with others' if some wait; return its answer or raise its error."""
        catch_up()
        me = None
        with self._lock:
            # One step. Two threads that both found nobody in the lead would both take it. A thread that
            # queued up after the leader looked at the queue would never be woken up.
            if self._led:
                me = WaitingThread(write)
                self._queue.append(me)
            self._led = True
        if me is None:
            self._lead(write)
        elif self._is_to_lead(me):
            self._lead()
        return write.result()

    def takes_lead(self) -> bool:
        """Return whether the caller leads, as nobody did. It may write, and then must :meth:`pass_on`."""
        catch_up()
        with self._lock:
            if self._led:
                return False
            self._led = True
            return True

    async def arun(self, write: Write[T]) -> T:
        """Do as :meth:`run` on asyncio. *write* is carried out even if the caller is cancelled."""
        catch_up()
        loop = asyncio.get_running_loop()
        tasks = self._gathering.get(loop)
        if tasks is None and self._slowest < INSTANT and self._done_at_once(write):
            return write.result()
        if tasks is None or len(tasks.writes) >= self._max_batch:
            for other in [other for other in self._gathering if other.is_closed()]:
                del self._gathering[other]  # it ended during a turn, with all its tasks
            tasks = self._gathering[loop] = WaitingTasks(loop, self._lead_in_thread)
            loop.call_soon(self._end_turn, loop, tasks)
        future = loop.create_future()
        tasks.writes.append(write)
        tasks.futures.append(future)
        await future
        return write.result()

    def close(self) -> None:
        """Wait until the queue is carried out, and end the thread. A later write starts another one."""
        catch_up()
        with self._lock:
            self._closers += 1
            try:
                self._quiet.wait_for(lambda: not self._led, CLOSE_LIMIT)
            finally:
                self._closers -= 1
            # A write that comes from now on gets a new thread. This one takes no more work.
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()

    # -- who leads -----------------------------------------------------------------

    def _is_to_lead(self, me: WaitingThread) -> bool:
        try:
            return me.wait()
        except BaseException:  # a signal handler raised: nobody waits here any more
            with self._lock:
                with suppress(ValueError):  # a leader took it out, and carries it out
                    self._queue.remove(me)
                leads = me.leads
            if leads:  # chosen during the signal: the lead would end here, and the queue wait forever
                self.pass_on()
            raise

    def _end_turn(self, loop: asyncio.AbstractEventLoop, tasks: WaitingTasks) -> None:
        if self._gathering.get(loop) is tasks:  # if not, it was full, and the next one gathers already
            del self._gathering[loop]
        with self._lock:
            leads, self._led = not self._led, True
            if not leads:
                self._queue.append(tasks)
        if leads and not (self._slowest < QUICK and len(tasks.writes) == 1 and self._done_here(tasks)):
            with self._lock:
                self._queue.appendleft(tasks)  # before those that came since it has the lead
            tasks.lead()

    def _done_at_once(self, write: Write[Any]) -> bool:
        """Carry out *write* on its event loop, during the turn; return whether nothing prevented it."""
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

    def _done_here(self, tasks: WaitingTasks) -> bool:
        """Carry out a single write on its event loop; return whether no lock prevented it."""
        is_done = True
        try:
            self._commit(tasks.writes, may_wait=False)
            is_done = not isinstance(tasks.writes[0].error, StoreBusy)
        finally:
            if is_done:  # otherwise a thread gets the lead and does it
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

    def _lead(self, *first: Write[Any]) -> None:
        """Carry out the write that came *first*, or else the queue, in the caller's thread."""
        parties: list[Party] = []
        writes = [*first]
        try:
            if not writes:
                self._pause()
                self._join(parties, writes)
            self._commit(writes, join=partial(self._join_late, parties, writes))
        finally:
            for party in parties:
                party.finish()
            self.pass_on()

    def _commit(self, writes: Sequence[Write[Any]], may_wait: bool = True, join: Join = nobody) -> None:
        start = time.perf_counter()
        self._carry_out(writes, may_wait, join)
        end = time.perf_counter()
        self._slowest = max(end - start, self._slowest * _DECAY)
        pause = (end - start) / _SHARE if end < self._contended_until else 0.0
        self._pause_ends = end + min(pause, _PAUSE) if pause >= RETRY else 0.0

    def _pause(self) -> None:
        """Leave SQLite's lock free for a moment after a slow commit, if other processes want it, too.

        They look only from time to time. If this process went on at once, they could miss the lock again
        and again.
        """
        rest = self._pause_ends - time.perf_counter()
        if rest > 0:
            time.sleep(rest)

    def _join_late(self, parties: list[Party], writes: list[Write[Any]]) -> None:
        """Do as :meth:`_join`, after a wait for another process."""
        self._contended_until = time.perf_counter() + _REMEMBERED
        self._join(parties, writes)

    def _join(self, parties: list[Party], writes: list[Write[Any]]) -> None:
        """Take what has queued up into *writes*, up to the limit."""
        with self._lock:
            while self._queue and (not writes or len(writes) + len(self._queue[0].writes) <= self._max_batch):
                parties.append(self._queue.popleft())
                writes.extend(parties[-1].writes)

    def pass_on(self) -> None:
        """Let the first in the queue lead, if there is one."""
        with self._lock:
            # It stays in the queue until it leads. If a signal ends its wait before, it removes itself and
            # passes the lead on. The lead is never free in between, or a newcomer would overtake the queue.
            following = self._queue[0] if self._queue else None
            self._led = following is not None
            if following is not None:
                following.leads = True
            elif self._closers:
                self._quiet.notify_all()
        if following is not None:
            following.lead()
