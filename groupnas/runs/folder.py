"""The run folder: a run's files, written whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import pickle
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from groupnas import values
from groupnas.errors import InputError, shown
from groupnas.files import read_bytes
from groupnas.saved import check_plain
from groupnas.schema import read_yaml
from groupnas.spaces.space import SPACE as SPACE
from groupnas.writing import atomic_path, remove_leftovers, write_text

CHECKPOINT_FORMAT = 2

LOCK = ".lock"
CONFIG = "config.yaml"
SPLIT = "split.json"
INITIAL = "initial_grouping.json"
FOUND = "grouping.json"
HISTORY = "history.jsonl"
TIMINGS = "timings.jsonl"
CHECKPOINT = "checkpoint.pt"
RESULT = "result.json"

# Errors of file systems without locks, some shares over a network among them.
_LOCKLESS = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_log = logging.getLogger(__name__)


class RunFolder:
    """Names and formats of what a run leaves behind.

    =========================  ===================================================================
    ``config.yaml``            settings and fingerprints: what a resumed run must match; and where,
                               by which versions and by which command it began
    ``space.yaml``             what is searched: whole, so that the folder can be read elsewhere
    ``split.json``             sources on the training and validation side
    ``initial_grouping.json``  the grouping before the search
    ``grouping.json``          the grouping after the latest epoch
    ``history.jsonl``          one record for each epoch; the same for the same seed, bit for bit
    ``timings.jsonl``          seconds of each epoch, by the clock, of the CPU, and waiting for data
    ``checkpoint.pt``          everything that the rest of the run depends on
    ``networks/``              once finished, of a pruning: what was fine-tuned, with its weights
    ``result.json``            once finished: costs, health, validation errors
    =========================  ===================================================================
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(values.path("the run folder", path))
        self.identity: str | None = None  # of the run that config.yaml describes

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock ends with the process, however it ends.

        Files that a killed process left half-written are removed. Where the file system has no
        locks, a warning says so and the folder is not held.

        Raises:
            InputError: another process holds it, or the folder cannot be made.
        """
        lock = FileLock(self / LOCK, timeout=0.2)  # who asks whether it is held, holds it a moment
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.path}: another run is writing to this folder") from error
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in _LOCKLESS:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"{self.path}: cannot be written: {reason}") from error
            _log.warning("%s: no locks there: see that no other run writes to it", self.path)
        try:
            remove_leftovers(self.path)
            self._check_files()
            yield
        finally:
            lock.release()

    @property
    def held(self) -> bool:
        """True where a process is writing to it, as far as the file system has locks."""
        try:
            descriptor = os.open(self / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EACCES, errno.EAGAIN)
        finally:
            os.close(descriptor)
        return False

    def _check_files(self) -> None:
        """Refuse pipes and their like: a write would wait for a reader, for ever."""
        for path in self.path.iterdir():
            if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
                raise InputError(f"{path}: is no regular file; remove it")

    @property
    def exists(self) -> bool:
        """True where a run was started here."""
        return os.path.exists(self / CONFIG)  # Path.exists lets some errors out

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml``."""
        write_text(self / CONFIG, yaml.safe_dump(config, sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """Return ``config.yaml`` of any kind of run; :meth:`Kind.read` expects one kind.

        Raises:
            InputError: it is not there, or damaged.
        """
        config = read_yaml(self / CONFIG)
        if not isinstance(config, dict):
            raise InputError(f"{self / CONFIG}: is damaged: expected settings, got {shown(config)}")
        check_plain(config, f"{self / CONFIG}: is damaged")
        return config

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file."""
        write_text(self / name, json.dumps(value, indent=2) + "\n")

    def write_lines(self, name: str, records: Sequence[Any]) -> None:
        """Write one JSON record a line, all of them."""
        write_text(self / name, "".join(json.dumps(record) + "\n" for record in records))

    def append_line(self, name: str, record: Any) -> None:
        """Add one JSON record to a log that nothing depends on, behind its last whole line."""
        path = self / name
        old = read_bytes(path) if os.path.exists(path) else b""
        whole = old[: old.rfind(b"\n") + 1]
        with atomic_path(path) as temporary:
            temporary.write_bytes(whole + json.dumps(record).encode() + b"\n")

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace ``checkpoint.pt`` by tensors and plain values."""
        import torch

        # By way of memory: of a full disk torch says "unexpected pos 64 vs 0".
        buffer = io.BytesIO()
        told = {"format": CHECKPOINT_FORMAT, "run": self.identity}
        torch.save({**told, **state}, buffer)
        with atomic_path(self / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(self) -> dict[str, Any]:
        """Return the last saved state; never execute what is in the file.

        Raises:
            InputError: it is missing, damaged, of another format or another run, or holds more than
                tensors.
        """
        import torch

        from groupnas.arrays import DAMAGE

        path = self / CHECKPOINT
        if not os.path.lexists(path):
            raise InputError(f"{path}: is missing; start again in a new folder")
        if not path.is_file():
            raise InputError(f"{path}: is no regular file; start again in a new folder")
        try:
            with open(path, "rb") as file:
                with zipfile.ZipFile(file) as archive:  # torch checks no checksums
                    packed = any(member.compress_type for member in archive.infolist())
                    if packed or archive.testzip() is not None:
                        raise zipfile.BadZipFile
                file.seek(0)
                state = torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        # What torch and pickle raise beside NumPy for bytes that are not, or no longer, theirs.
        except (*DAMAGE, AssertionError, pickle.UnpicklingError) as error:
            raise InputError(
                f"{path}: is damaged or not a checkpoint; start again in a new folder"
            ) from error
        known = isinstance(state, dict) and state.get("format")
        if type(known) is not int or known != CHECKPOINT_FORMAT:
            raise InputError(
                f"{path}: expected a checkpoint of format {CHECKPOINT_FORMAT}; start again in a "
                "new folder, or use the groupnas that wrote it"
            )
        if self.identity is not None and state.get("run") != self.identity:
            raise InputError(
                f"{path}: is of another run than {CONFIG} describes: of another seed, other "
                "settings or other data; start again in a new folder"
            )
        return dict(state)
