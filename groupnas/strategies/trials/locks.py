"""Who may do what in a shared study: locks that end with the process that holds them.

Optuna leaves the trial of a killed process running for ever in a journal, and its heartbeat in a
database takes minutes to notice. A lock of the operating system or of the database is gone the
moment its holder is.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout


class Locks(Protocol):
    """One lock of the whole study, held for moments, and one of every trial that is under way."""

    def whole(self) -> AbstractContextManager[None]:
        """Hold the study; waits for others. Not twice at a time."""
        ...

    def take(self, trial: int) -> bool:
        """Take a trial, if nobody has it. The study must be held."""
        ...

    def give_back(self, trial: int) -> None:
        """Let go of a trial that was taken."""
        ...


class NoLocks:
    """For a study that nobody else can see."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Nothing to wait for."""
        yield

    def take(self, trial: int) -> bool:
        """Always."""
        return True

    def give_back(self, trial: int) -> None:
        """Nothing to do."""


class FileLocks:
    """Locks beside a journal file; all processes must be on one machine, or on a file system whose
    locks reach across machines.

    Args:
        journal: The file; its folder must exist.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(f"{journal}.lock")
        self._taken: dict[int, FileLock] = {}

    @contextmanager
    def whole(self) -> Iterator[None]:
        """As :meth:`Locks.whole`. What a process that was killed left half-written is removed."""
        with self._lock:
            self._drop_torn_line()
            yield

    def take(self, trial: int) -> bool:
        """As :meth:`Locks.take`."""
        lock = FileLock(f"{self._journal}.{trial}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._taken[trial] = lock
        return True

    def give_back(self, trial: int) -> None:
        """As :meth:`Locks.give_back`."""
        with self._lock:  # nobody takes it between the two
            Path(f"{self._journal}.{trial}.lock").unlink(missing_ok=True)
            self._taken.pop(trial).release()

    # What Optuna's journal asks of a lock for each line that it writes; it writes while the study
    # is held, so that this lock is held already.

    def acquire(self) -> bool:
        """For Optuna."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """For Optuna."""
        self._lock.release()

    def _drop_torn_line(self) -> None:
        """Else the next line would be written behind it, and neither could be read."""
        if not self._journal.exists():
            return
        with open(self._journal, "rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole != len(content):
                file.truncate(whole)


class AdvisoryLocks:
    """Advisory locks of PostgreSQL, held by one connection; gone when it ends.

    Args:
        engine: A SQLAlchemy engine of the database, without a pool: what is closed is closed.
        name: The study's; others' locks in the same database are others.
    """

    def __init__(self, engine: Any, name: str) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        weakref.finalize(self, self._connection.close)
        self._key = zlib.crc32(f"groupnas {name}".encode()) - 2**31  # a signed integer of 32 bits

    @contextmanager
    def whole(self) -> Iterator[None]:
        """As :meth:`Locks.whole`."""
        self._call("pg_advisory_lock", -1)
        try:
            yield
        finally:
            self._call("pg_advisory_unlock", -1)

    def take(self, trial: int) -> bool:
        """As :meth:`Locks.take`."""
        return bool(self._call("pg_try_advisory_lock", trial))

    def give_back(self, trial: int) -> None:
        """As :meth:`Locks.give_back`."""
        self._call("pg_advisory_unlock", trial)

    def _call(self, function: str, which: int) -> Any:
        from sqlalchemy import text

        statement = text(f"SELECT {function}(:key, :which)")
        return self._connection.execute(statement, {"key": self._key, "which": which}).scalar()
