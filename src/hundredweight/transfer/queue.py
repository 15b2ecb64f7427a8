"""Many objects to or from one server: asked for in batches, moved by several workers at once, tried again when it may help.

A batch call goes out as soon as a batch is full, the producer closes the queue, or it pauses while workers are idle. Until a
first transfer was let in, only one worker runs: a user is asked for a password once. Each worker moves one object at a time and
holds a few buffers, so memory does not depend on sizes.

Small objects take a worker less time than it takes to wake a thread that then finds nothing to do. So there is one lock with a
condition for each who waits (the batch thread, the workers, `wait`), and each is told only what it waits for.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, RemoteError
from hundredweight.base.trace import notice, trace
from hundredweight.protocol.batch import DOWNLOAD, MAX_OBJECTS, UPLOAD, Wanted
from hundredweight.protocol.bundle import TRANSFER as IN_BUNDLES
from hundredweight.transfer.actions import PUSH_ALL, ActionExpired, Job, NotOnServer
from hundredweight.transfer.adapters import adapters_for
from hundredweight.transfer.basic import ObjectMissing
from hundredweight.transfer.bundles import Bundles
from hundredweight.transfer.http import HttpError, describe_remedy
from hundredweight.transfer.retry import RetryPolicy, retry_after
from hundredweight.transfer.server import BatchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hundredweight.base.ids import Oid
    from hundredweight.base.progress import Meter
    from hundredweight.git.config import Config
    from hundredweight.protocol.batch import BatchObject, BatchResponse, ObjectError
    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Adapter
    from hundredweight.transfer.blocks import Nearby
    from hundredweight.transfer.server import LfsServer

PAUSE = 0.1
SOON = 16 << 20
"""Bytes at hand that are moved in about the time of a batch call: the next one goes out then, so that nobody waits for it."""
_CONTENT_TYPE_HELP = """info: Uploading failed due to unsupported Content-Type header(s).
info: Consider disabling Content-Type detection with:
info:
info:   $ git config lfs.contenttype false"""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to move. `path` is the name that progress and errors show. `missing` marks an upload whose object is not here
    and without which nothing at all is to be sent, unless the server has it."""

    oid: Oid
    size: int
    path: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not move, for good. `error` is shared by the items of a batch that failed as a whole."""

    item: Item
    error: CwtError


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """`ref` is the full name of the ref that the objects belong to, for servers that care. With `nearby`, objects may move as
    blocks."""

    ref: str = ""
    batch_size: int = 100
    concurrency: int = 8
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    nearby: Nearby | None = None


def read_options(config: Config, ref: str = "") -> TransferOptions:
    """The options that git's configuration sets; values below 1 mean the default, and a batch has at most as many objects as
    a message may. A server that takes fewer says so (413), and is asked for half as many."""

    def positive(key: str, default: int) -> int:
        found = config.int(key)
        return found if found > 0 else default

    retries = RetryPolicy(positive("lfs.transfer.maxretries", 8), float(positive("lfs.transfer.maxretrydelay", 10)))
    batch = min(positive("lfs.transfer.batchsize", 100), MAX_OBJECTS)
    return TransferOptions(ref, batch, positive("lfs.concurrenttransfers", 8), retries)


def distinct_errors(failures: Iterable[Failure]) -> list[CwtError]:
    """Each error once, in order: what to print."""
    return list({id(failure.error): failure.error for failure in failures}.values())


class _Entry:
    """One object with everyone who wants it."""

    __slots__ = ("announced", "error", "failures", "finished", "items", "ready_at")

    def __init__(self, item: Item) -> None:
        self.items = [item]
        self.failures = 0
        self.ready_at = 0.0
        self.finished = False
        self.announced = False
        self.error: CwtError | None = None

    @property
    def first(self) -> Item:
        return self.items[0]


if TYPE_CHECKING:
    _Task = tuple[_Entry, Job, Adapter]


class TransferQueue:
    """Use as a context; `add` from any thread, then `wait`. Leaving the context without `wait` abandons what has not begun.

    `on_done(item, error)` is called once for each added item, from a worker's thread, as soon as its fate is known; error None
    means that the object is where it should be."""

    def __init__(
        self,
        server: LfsServer,
        direction: str,
        store: LooseStore,
        options: TransferOptions,
        meter: Meter,
        on_done: Callable[[Item, CwtError | None], None] | None = None,
    ) -> None:
        """`direction` is download or upload. The meter is started here and finished by `wait`."""
        self._server = server
        self._direction = direction
        self._options = options
        self._meter = meter
        self._on_done = on_done
        self._adapters = adapters_for(server, direction, store, options.concurrency, options.nearby)
        self._bundles: Bundles | None = Bundles(server, store) if IN_BUNDLES in self._adapters else None
        self._entries: dict[Oid, _Entry] = {}
        self._waiting: list[_Entry] = []
        self._jobs: deque[_Task] = deque()
        self._failures: list[Failure] = []
        self._unfinished = 0
        self._batch_limit = options.batch_size
        self._last_add = 0.0
        self._open = True
        self._admitted = False
        self._help_with_content_type = False
        self._crash: BaseException | None = None
        self._stopped = False
        self._asleep = False
        self._lock = threading.RLock()
        self._to_ask = threading.Condition(self._lock)
        self._to_move = threading.Condition(self._lock)
        self._ended = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        meter.start(direction, 0, 0)
        trace(f"tq: running as batched queue, batch size of {options.batch_size}")

    def add(self, item: Item) -> None:
        """Want one more object; one that is already wanted or here is moved only once. Raises `ValueError` after `close`."""
        with self._lock:
            if not self._open:
                raise ValueError("the queue is closed")
            entry = self._entries.get(item.oid)
            if entry is None:
                self._enqueue(item)
                return
            trace(f'already transferring "{item.oid}", skipping duplicate')
            entry.items.append(item)
            if not entry.finished:
                return
            error = entry.error
            if error is not None:
                self._failures.append(Failure(item, error))
        self._tell([item], error)

    def close(self) -> None:
        """No more items will come: what waits for a full batch goes out now. Harmless twice."""
        with self._lock:
            self._open = False
            self._wake_all()

    def wait(self) -> list[Failure]:
        """Close, wait until every item's fate is known, and give those that failed."""
        self.close()
        try:
            with self._ended:
                while self._unfinished and self._crash is None:
                    self._ended.wait()
            if self._crash is not None:
                raise self._crash
            self._join()
        finally:
            self._meter.finish()
        if self._help_with_content_type:
            notice(_CONTENT_TYPE_HELP)
        return list(self._failures)

    def __enter__(self) -> TransferQueue:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        self._abandon()
        if kind is not KeyboardInterrupt:
            # Who interrupts does not want to wait for a server either; what arrived so far is kept in any case.
            self._join()

    def _enqueue(self, item: Item) -> None:
        entry = _Entry(item)
        self._entries[item.oid] = entry
        self._waiting.append(entry)
        self._unfinished += 1
        self._last_add = self._server.clock.monotonic()
        self._meter.add(1, item.size)
        if not self._threads:
            self._start_thread(self._ask, "batch")
        if self._asleep or len(self._waiting) == self._batch_limit:
            self._to_ask.notify()

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guard, args=(target,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - a thread that dies silently would let `wait` wait for ever
            with self._lock:
                self._crash = self._crash or error
                self._wake_all()

    def _wake_all(self) -> None:
        """For what concerns everybody. Called with the lock held."""
        self._to_ask.notify_all()
        self._to_move.notify_all()
        self._ended.notify_all()

    def _abandon(self) -> None:
        """Begin nothing new, and stop what runs at its next piece."""
        with self._lock:
            self._stopped = True
            self._open = False
            self._waiting.clear()
            self._jobs.clear()
            self._unfinished = 0
            self._wake_all()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    # The batch thread.

    def _ask(self) -> None:
        while (entries := self._next_batch()) is not None:
            trace(f"tq: sending batch of size {len(entries)}")
            wanted = [Wanted(entry.first.oid, entry.first.size) for entry in entries]
            asked_at = self._server.clock.now()
            try:
                answer = self._server.batch(self._direction, wanted, self._options.ref, tuple(self._adapters))
            except BatchFailed as error:
                self._batch_failed(entries, error)
            else:
                self._answered(entries, answer, asked_at)

    def _next_batch(self) -> list[_Entry] | None:
        """The entries for one batch call, the largest first; waits for them. None when all is done."""
        with self._to_ask:
            while True:
                if self._crash is not None or (not self._open and not self._unfinished):
                    return None
                now = self._server.clock.now()
                ready = [entry for entry in self._waiting if entry.ready_at <= now]
                if self._is_due(ready):
                    chosen = ready[: self._batch_limit]
                    taken = {id(entry) for entry in chosen}
                    self._waiting = [entry for entry in self._waiting if id(entry) not in taken]
                    return sorted(chosen, key=lambda entry: -entry.first.size)
                patience = self._patience(now)
                self._asleep = patience is None or patience > PAUSE
                self._to_ask.wait(patience)
                self._asleep = False

    def _is_due(self, ready: list[_Entry]) -> bool:
        """Not while enough is at hand for the workers: an action that waits may expire."""
        if not ready or not self._runs_short():
            return False
        paused = self._server.clock.monotonic() - self._last_add >= PAUSE
        return len(ready) >= self._batch_limit or not self._open or (paused and not self._jobs)

    def _runs_short(self) -> bool:
        """Whether what is at hand will soon have been moved. Called with the lock held."""
        if len(self._jobs) < self._options.concurrency:
            return True
        return len(self._jobs) <= self._batch_limit // 2 and sum(job.size for _, job, _ in self._jobs) <= SOON

    def _patience(self, now: float) -> float | None:
        if not self._waiting:
            return None
        soonest = min(entry.ready_at for entry in self._waiting)
        if soonest > now:
            return soonest - now
        # Everything ready waits for a full batch, for a pause, or for the workers, who notify.
        return PAUSE

    def _batch_failed(self, entries: list[_Entry], error: BatchFailed) -> None:
        with self._lock:
            if error.status == 413 and len(entries) > 1:
                # Too many objects for one request: ask for fewer from now on.
                self._batch_limit = max(1, len(entries) // 2)
                trace(f"tq: server wants smaller batches, now {self._batch_limit}")
                self._waiting = [*entries, *self._waiting]
                return
        for entry in entries:
            self._failed(entry, error)

    def _answered(self, entries: list[_Entry], response: BatchResponse, asked_at: float) -> None:
        by_oid = {answer.oid: answer for answer in response.objects}
        # A server that names an adapter which it was not offered means basic, as git-lfs takes it.
        adapter = self._adapters.get(response.transfer) or list(self._adapters.values())[-1]
        wanted = {entry.first.oid for entry in entries}
        unknown = [oid for oid in by_oid if oid not in wanted]
        if self._stopped_by_missing(entries, by_oid):
            return
        jobs: list[_Task] = []
        for entry in entries:
            answer = by_oid.get(entry.first.oid)
            if answer is None:
                named = (
                    f"[{unknown[0]}] The server returned an unknown OID."
                    if unknown
                    else "the server said nothing of it"
                )
                self._failed(entry, RemoteError(f"[{entry.first.oid}] no answer from the server: {named}"))
            elif answer.error is not None:
                self._failed(entry, ObjectRefused(self._direction, answer.oid, answer.error))
            elif answer.size < 0:
                self._failed(entry, RemoteError(f'object "{answer.oid}" has invalid size (got: {answer.size})'))
            elif self._direction not in answer.actions:
                self._without_action(entry, answer)
            else:
                self._take_job(entry, self._job(entry, answer, asked_at), adapter, jobs)
        with self._to_move:
            self._jobs.extend(jobs)
            self._admitted = self._admitted or any(_is_authorized(job.answer, self._direction) for _, job, _ in jobs)
            self._hire()
            self._to_move.notify(len(jobs))

    def _stopped_by_missing(self, entries: list[_Entry], answers: dict[str, BatchObject]) -> bool:
        """An upload without one of its objects, here or there, would be a broken push: then nothing more is sent."""
        for entry in entries:
            answer = answers.get(entry.first.oid)
            if entry.first.missing and answer is not None and answer.actions:
                trace(f'tq: stopping batched queue, object "{entry.first.oid}" missing locally and on remote')
                error = ObjectMissing(entry.first.path, entry.first.oid)
                with self._lock:
                    rest = [*entries, *self._waiting]
                    self._waiting = []
                for other in rest:
                    self._finish(other, error)
                return True
        return False

    def _without_action(self, entry: _Entry, answer: BatchObject) -> None:
        if self._direction == UPLOAD:
            # The server has it.
            self._meter.advance(entry.first.path, entry.first.size)
            self._finish(entry, None)
        else:
            self._failed(entry, NotOnServer(answer.oid))

    def _job(self, entry: _Entry, answer: BatchObject, asked_at: float) -> Job:
        item = entry.first

        def report(count: int) -> None:
            if self._stopped:
                raise _Abandoned
            self._meter.advance(item.path, count)

        return Job(item.oid, item.size, item.path, answer, asked_at, report, self._admit)

    def _take_job(self, entry: _Entry, job: Job, adapter: Adapter, jobs: list[_Task]) -> None:
        try:
            job.action(self._direction, self._server.clock.now())
        except ActionExpired as error:
            self._failed(entry, error)
        else:
            jobs.append((entry, job, adapter))

    # The workers.

    def _hire(self) -> None:
        """As many workers as there is work for; one until somebody was let in. Called with the lock held."""
        limit = self._options.concurrency if self._admitted else 1
        workers = len(self._threads) - 1
        while workers < min(limit, workers + len(self._jobs)):
            self._start_thread(self._work, f"transfer-{workers}")
            workers += 1

    def _admit(self) -> None:
        if self._admitted:
            return
        with self._lock:
            if not self._admitted:
                self._admitted = True
                self._hire()

    def _work(self) -> None:
        try:
            while tasks := self._next_tasks():
                for entry, job, _ in tasks:
                    if not entry.announced:
                        entry.announced = True
                        self._meter.begin(job.name, job.size)
                for entry, job, adapter in self._move_together(tasks) if len(tasks) > 1 else tasks:
                    self._move(entry, job, adapter)
        except _Abandoned:
            return

    def _move(self, entry: _Entry, job: Job, adapter: Adapter) -> None:
        try:
            if self._direction == UPLOAD:
                adapter.upload(job)
            else:
                adapter.download(job)
        except CwtError as error:
            job.take_back()
            self._transfer_failed(entry, error)
        else:
            self._admit()
            self._finish(entry, None)

    def _move_together(self, tasks: list[_Task]) -> list[_Task]:
        """Those that did not come. After a bundle that failed as a whole there is no other."""
        bundles, left = self._bundles, {job.oid: (entry, job, adapter) for entry, job, adapter in tasks}
        if bundles is None:
            return tasks
        try:
            bundles.download([job for _, job, _ in tasks], lambda job: self._finish(left.pop(job.oid)[0], None))
        except CwtError as error:
            trace(f"xfer: {len(left)} objects did not come together ({error}); downloading them one by one")
            self._bundles = None
        for _, job, _ in left.values():
            job.take_back()
        return list(left.values())

    def _next_tasks(self) -> list[_Task]:
        """The next object, or several small ones that may come together; none when all is done."""
        with self._to_move:
            while not self._jobs:
                if self._crash is not None or (not self._open and not self._unfinished):
                    return []
                self._to_move.wait()
            tasks, jobs = [self._jobs.popleft()], self._jobs
            bundles = self._bundles
            if bundles is not None and bundles.together([], tasks[0][1]):
                while jobs and bundles.together([job for _, job, _ in tasks], jobs[0][1]):
                    tasks.append(jobs.popleft())
            if self._waiting and self._runs_short():
                self._to_ask.notify()
            return tasks

    def _transfer_failed(self, entry: _Entry, error: CwtError) -> None:
        if isinstance(error, HttpError) and error.status == 422 and not error.advised and self._direction == UPLOAD:
            self._help_with_content_type = True
        moment = self._options.retries.next_try(error, entry.failures + 1, self._server.clock.now())
        if moment is not None:
            late = retry_after(error) is not None
            why = f" after {moment - self._server.clock.now():.2f}s" if late else f": {error}"
            trace(f"tq: retrying object {entry.first.oid}{why}")
        self._failed(entry, error)

    # Outcomes.

    def _failed(self, entry: _Entry, error: CwtError) -> None:
        """Put the entry back for another try, or end it."""
        entry.failures += 1
        now = self._server.clock.now()
        moment = self._options.retries.next_try(error, entry.failures, now)
        if moment is None:
            if isinstance(error, RemoteError) and error.temporary:
                trace(f'tq: refusing to retry "{entry.first.oid}", too many retries ({entry.failures - 1})')
            self._finish(entry, error)
            return
        item = entry.first
        delay = f"{max(0.0, moment - now):.2f}s"
        what = f"LFS: {error}" if isinstance(error, ActionExpired) else str(error)
        trace(f'tq: enqueue retry #{entry.failures} after {delay} for "{item.oid}" (size: {item.size}): {what}')
        with self._to_ask:
            entry.ready_at = moment
            self._waiting.append(entry)
            self._to_ask.notify()

    def _finish(self, entry: _Entry, error: CwtError | None) -> None:
        with self._lock:
            entry.finished = True
            entry.error = error
            items = list(entry.items)
            if error is not None:
                self._failures += [Failure(item, error) for item in items]
        if error is None:
            self._meter.done(entry.first.path)
        else:
            self._meter.failed(entry.first.path)
        self._tell(items, error)
        with self._lock:
            self._unfinished = max(0, self._unfinished - 1)
            if not self._unfinished:
                self._wake_all()

    def _tell(self, items: list[Item], error: CwtError | None) -> None:
        if self._on_done is not None:
            for item in items:
                self._on_done(item, error)


def _is_authorized(answer: BatchObject, direction: str) -> bool:
    """Whether the action brings its own credentials, so that nobody will be asked."""
    return answer.authenticated or any(name.lower() == "authorization" for name in answer.actions[direction].header)


class _Abandoned(Exception):
    """Nobody waits for this transfer any more."""


class ObjectRefused(RemoteError):
    """The server answered for one object of a batch that it cannot be moved: `code` 404 (unknown), 410 (removed), 422, ..."""

    def __init__(self, direction: str, oid: str, error: ObjectError) -> None:
        lacking = direction == DOWNLOAD and error.code in (404, 410)
        hint = PUSH_ALL if lacking else describe_remedy(error.code)
        super().__init__(f"[{oid}] {error.message}: [{error.code}] {error.message}", hint=hint)
        self.oid = oid
        self.code = error.code
        self.reason = error.message
