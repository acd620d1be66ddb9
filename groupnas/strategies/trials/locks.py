"""Locks of a shared study that end with the process that holds them.

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
        """Hold the study; wait for others. Not twice at a time."""
        ...

    def take(self, trial: int) -> bool:
        """Take a trial and return whether nobody had it. The study must be held."""
        ...

    def give_back(self, trial: int) -> None:
        """Let go of a trial that was taken."""
        ...


class NoLocks:
    """Locks of a study that nobody else can see."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        yield

    def take(self, trial: int) -> bool:
        return True

    def give_back(self, trial: int) -> None:
        pass


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
        """Hold the study, and remove what a killed process left half-written."""
        with self._lock:
            self._drop_torn_line()
            yield

    def take(self, trial: int) -> bool:
        lock = FileLock(f"{self._journal}.{trial}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._taken[trial] = lock
        return True

    def give_back(self, trial: int) -> None:
        with self._lock:  # nobody takes it between the two
            Path(f"{self._journal}.{trial}.lock").unlink(missing_ok=True)
            self._taken.pop(trial).release()

    # Optuna's journal calls these for each line that it writes; the study is held then, and so is
    # this lock.

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()

    def _drop_torn_line(self) -> None:
        """Remove it: a line written behind it could not be read, nor could it."""
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
        self._call("pg_advisory_lock", -1)
        try:
            yield
        finally:
            self._call("pg_advisory_unlock", -1)

    def take(self, trial: int) -> bool:
        return bool(self._call("pg_try_advisory_lock", trial))

    def give_back(self, trial: int) -> None:
        self._call("pg_advisory_unlock", trial)

    def _call(self, function: str, which: int) -> Any:
        from sqlalchemy import text

        statement = text(f"SELECT {function}(:key, :which)")
        return self._connection.execute(statement, {"key": self._key, "which": which}).scalar()
