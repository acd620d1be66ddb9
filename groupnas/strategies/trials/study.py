"""An Optuna study as the truth about trials: begun once, judged once, whoever is killed.

Every change is made while the study is held (:mod:`.locks`). A trial enters it with all its
parameters in one write, runs as long as somebody holds its lock, and ends in one write. A running
trial that nobody holds is a killed process's: whoever asks for a trial next gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.strategies.trials.locks import AdvisoryLocks, FileLocks, Locks, NoLocks

JOURNAL_BEGIN = b'{"op_code"'
RESULT = "groupnas"  # the attribute of a trial that holds its record


class SharedStudy:
    """A study of at most so many trials, together with whoever else works on it.

    Args:
        storage: Where the trials are.
        locks: Of everyone who uses that storage.
        name: The study's.
        objectives: How many values a trial has; all are minimised.
        identity: Plain values that all who share the study must agree on; None checks nothing.
        origin: What errors call the storage.

    Raises:
        InputError: the study is another search's.
    """

    def __init__(
        self,
        storage: BaseStorage,
        locks: Locks,
        name: str,
        objectives: int,
        identity: dict[str, Any] | None,
        origin: str,
    ) -> None:
        self._storage, self._locks, self._origin = storage, locks, origin
        with self._held(), quiet():
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=["minimize"] * objectives,
                load_if_exists=True,
                sampler=RandomSampler(),  # never asked: see the job
            )
            self._id = storage.get_study_id_from_name(name)
            if identity is not None:
                self._check(name, identity)

    def _check(self, name: str, identity: dict[str, Any]) -> None:
        recorded = self._study.user_attrs.get(RESULT)
        if recorded is None or not self._study.trials:
            self._study.set_user_attr(RESULT, identity)
        elif recorded != identity:
            known = recorded if isinstance(recorded, dict) else {}
            other = ", ".join(key for key in identity if known.get(key) != identity[key])
            raise InputError(
                f"{self._origin}: study {name!r} was begun with another {other}; give this one "
                "another name, under `study`"
            )

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that were begun; each stands at its number."""
        with _reaching(self._origin):
            return self._study.get_trials()

    def finished(self) -> dict[int, dict[str, Any]]:
        """Return number and record of every judged trial, in the order that they finished."""
        done = [t for t in self.trials if t.state is TrialState.COMPLETE and RESULT in t.user_attrs]
        done.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        return {trial.number: self._result(trial)["record"] for trial in done}

    def _result(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return values and record, as :meth:`finish` wrote them."""
        result = trial.user_attrs[RESULT]
        if not isinstance(result, dict) or not {"values", "record"} <= result.keys():
            raise InputError(f"{self._origin}: trial {trial.number} is damaged; start a new study")
        return result

    @contextmanager
    def claimed(
        self, total: int, ask: Callable[[Sequence[FrozenTrial]], FrozenTrial]
    ) -> Iterator[FrozenTrial | None]:
        """Hold a trial to judge: one that was left, or a new one. It is released at the end.

        Args:
            total: How many trials there may be.
            ask: Makes a new one, with all parameters, from all that were begun.

        Yields:
            ``None`` where all trials are done, or in others' hands.
        """
        with self._held():
            trial = self._next(total, ask)
        try:
            yield trial
        finally:
            if trial is not None:
                with _reaching(self._origin):
                    self._locks.give_back(trial.number)

    def finish(self, number: int, values: Sequence[float], record: dict[str, Any]) -> None:
        """Record what a trial is worth; the first to do so is believed."""
        with self._held():
            if self.trials[number].state is TrialState.RUNNING:
                trial = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
                result = {"values": list(values), "record": record}
                self._storage.set_trial_user_attr(trial, RESULT, result)
                self._study.tell(number, list(values))

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Put the trials of a study that was lost into an empty one."""
        with self._held():
            self._study.add_trials(trials)

    def _next(
        self, total: int, ask: Callable[[Sequence[FrozenTrial]], FrozenTrial]
    ) -> FrozenTrial | None:
        trials = self.trials
        for trial in trials:
            if trial.state is TrialState.RUNNING and self._locks.take(trial.number):
                if RESULT not in trial.user_attrs:
                    return trial
                values = self._result(trial)["values"]
                self._study.tell(trial.number, values)  # killed between two writes
                self._locks.give_back(trial.number)
        begun = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.RUNNING)]
        if len(begun) >= total:
            return None
        self._study.add_trial(ask(trials))
        self._locks.take(len(trials))
        return self.trials[len(trials)]

    @contextmanager
    def _held(self) -> Iterator[None]:
        with _reaching(self._origin), self._locks.whole():
            yield


def in_memory(objectives: int) -> SharedStudy:
    """Return a study that ends with the process."""
    return SharedStudy(InMemoryStorage(), NoLocks(), "groupnas", objectives, None, "study")


def open_study(storage: str, name: str, objectives: int, identity: dict[str, Any]) -> SharedStudy:
    """Return the study of a name in a journal file or a PostgreSQL database; begin a new one.

    Raises:
        InputError: no such database, no driver for it, a file that is no journal, or a study of
            another search.
    """
    if "://" in storage:
        return in_database(storage, name, objectives, identity)
    return in_journal(Path(storage), name, objectives, identity)


def in_journal(
    path: Path, name: str, objectives: int, identity: dict[str, Any] | None
) -> SharedStudy:
    """Return the study of a name in a journal file; see :func:`open_study`."""
    with _reaching(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_journal(path)  # before anything is written to it
        locks = FileLocks(path)
        try:
            with locks.whole():
                journal = JournalStorage(JournalFileBackend(str(path), lock_obj=locks))  # type: ignore[arg-type]
            return SharedStudy(journal, locks, name, objectives, identity, str(path))
        except InputError:
            raise
        except (ValueError, LookupError, TypeError, AssertionError) as error:
            raise InputError(f"{path}: is damaged: {error}; start again in a new file") from error


def _check_journal(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file; give another path")
    if path.exists():
        with open(path, "rb") as file:
            begin = file.read(len(JOURNAL_BEGIN))
        if not JOURNAL_BEGIN.startswith(begin):  # it may be shorter: killed in the first write
            raise InputError(f"{path}: is not a journal of Optuna; give another path")


def in_database(
    url: str, name: str, objectives: int, identity: dict[str, Any] | None
) -> SharedStudy:
    """Return the study of a name at a URL; see :func:`open_study`."""
    if not url.startswith("postgresql"):
        raise InputError(
            f"storage: expected the path of a journal file or a postgresql:// URL, got "
            f"{url.partition('://')[0]}://"
        )
    # SQLAlchemy means another driver by this from one version to the next.
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        origin = sqlalchemy.make_url(url).render_as_string(hide_password=True)
        engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    except ImportError as error:
        raise InputError(
            f"storage: {error}; install the driver with: {install_hint('postgresql')}"
        ) from error
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError("storage: is not a URL of a database") from error
    with _reaching(origin):
        locks = AdvisoryLocks(engine, name)
        with locks.whole():  # tables are made once
            database = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    return SharedStudy(database, locks, name, objectives, identity, origin)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log of studies that begin."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


@contextmanager
def _reaching(origin: str) -> Iterator[None]:
    """Turn errors of a database or a file system into one line about the storage."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        raise InputError(f"{origin}: {str(cause).strip().splitlines()[0]}") from error
    except OSError as error:
        raise InputError(f"{origin}: cannot be written: {error.strerror or error}") from error
