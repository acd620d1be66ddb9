"""Pieces of work in parallel processes, none of which outlives the one that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Generic, Protocol, TypeVar

from groupnas.errors import InputError

PieceT = TypeVar("PieceT")
PieceIn = TypeVar("PieceIn", contravariant=True)


class Startable(Protocol[PieceIn]):
    """Work that is sent to each process, by pickling."""

    def start(self, threads: int | None) -> Callable[[PieceIn], str]:
        """Return a function that does one piece and says in a few words what came out.

        ``threads`` are what a process of its own may use; ``None`` leaves the caller's.
        A piece that raises :class:`groupnas.errors.InputError` has failed; others go on.
        """
        ...


@dataclass(frozen=True)
class Ended(Generic[PieceT]):
    """A piece that is over.

    Attributes:
        piece: Which.
        seconds: How long it took.
        words: What came out, or what went wrong.
        failed: Whether something did.
    """

    piece: PieceT
    seconds: float
    words: str
    failed: bool = False


def run_pieces(
    work: Startable[PieceT],
    first: Sequence[PieceT],
    then: Callable[[PieceT], Iterable[PieceT]],
    *,
    jobs: int,
    threads: int,
    on_end: Callable[[Ended[PieceT]], None],
) -> None:
    """Do all pieces, and those that follow from them.

    With one job they are done in this process, else in ``jobs`` others, each with so many torch
    threads. Ctrl-C, or the end of this process in whatever way, ends them; nothing waits for a
    piece to finish, since each can be resumed.

    Args:
        work: Does pieces; picklable where there are several jobs.
        first: Pieces that wait for nothing, in order.
        then: Pieces that a finished one makes possible; they are done after those before.
        jobs: Number of processes, at least 1.
        threads: Of each process.
        on_end: Told of each piece that is over.
    """
    waiting = deque(first)

    def settle(ended: Ended[PieceT]) -> None:
        on_end(ended)
        if not ended.failed:
            waiting.extend(then(ended.piece))

    if jobs == 1:
        do = work.start(None)
        while waiting:
            settle(_attempt(do, waiting.popleft()))
        return
    with _Pool(work, threads) as pool:
        while waiting or pool.busy:
            while waiting and len(pool.busy) < jobs:
                pool.give(waiting.popleft())
            for ended in pool.collect():
                settle(ended)


def _attempt(do: Callable[[PieceT], str], piece: PieceT) -> Ended[PieceT]:
    start = time.perf_counter()
    try:
        words, failed = do(piece), False
    except InputError as error:
        words, failed = str(error), True
    return Ended(piece, time.perf_counter() - start, words, failed)


class _Worker(Generic[PieceT]):
    """One process; it imports and loads while it does its first piece."""

    def __init__(self, work: Startable[PieceT], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # torch does not survive a fork
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, threads), daemon=True)
        # Ctrl-C reaches every process of a terminal; only the first one is to answer it. The
        # tracker, which the first start would start, unblocks signals that we block here.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()  # else its end would never be seen

    def give(self, piece: PieceT) -> None:
        self.piece, self.since = piece, time.perf_counter()
        self.connection.send(piece)

    def take(self) -> Ended[PieceT] | None:
        """Return the answer; ``None`` where the process ended without one."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return None

    def end(self) -> None:
        self.process.kill()  # every file is written whole or not at all
        self.process.join()
        self.connection.close()


class _Pool(Generic[PieceT]):
    """Processes that are started when there is something to do for them."""

    def __init__(self, work: Startable[PieceT], threads: int) -> None:
        self._work, self._threads = work, threads
        self._idle: list[_Worker[PieceT]] = []
        self.busy: dict[Connection, _Worker[PieceT]] = {}

    def __enter__(self) -> _Pool[PieceT]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (*self._idle, *self.busy.values()):
            worker.end()

    def give(self, piece: PieceT) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._work, self._threads)
        self.busy[worker.connection] = worker
        worker.give(piece)

    def collect(self) -> Iterator[Ended[PieceT]]:
        """Return the pieces that are over; wait until one is."""
        for connection in wait(list(self.busy)):
            worker = self.busy.pop(connection)  # type: ignore[call-overload]
            ended = worker.take()
            if ended is not None:
                self._idle.append(worker)
                yield ended
                continue
            code = worker.process.exitcode
            worker.end()
            yield Ended(
                worker.piece,
                time.perf_counter() - worker.since,
                f"its process ended with code {code}"
                + (" (killed; out of memory?)" if code == -signal.SIGKILL else ""),
                failed=True,
            )


def _serve(connection: Connection, work: Startable[PieceT], threads: int) -> None:
    """Do what comes, until the process that asks for it is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    do: Callable[[PieceT], str] | None = None

    def done(piece: PieceT) -> str:
        nonlocal do
        do = do or work.start(threads)
        return do(piece)

    while True:
        try:
            piece = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(done, piece))


def _end_with_parent() -> None:
    """End with the parent: a process left alone would hold folders that a resumed run needs."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
