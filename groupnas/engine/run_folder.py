"""The run folder: one search's files, written whole or not at all, one process at a time."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from groupnas import values
from groupnas.errors import InputError
from groupnas.files import atomic_path, write_text
from groupnas.formats import check_folder
from groupnas.schema import read_yaml

CHECKPOINT_FORMAT = 2

CONFIG = "config.yaml"
SPACE = "space.yaml"
SPLIT = "split.json"
INITIAL = "initial_grouping.json"
FOUND = "grouping.json"
HISTORY = "history.jsonl"
TIMINGS = "timings.jsonl"
CHECKPOINT = "checkpoint.pt"
RESULT = "result.json"

# What torch, pickle and zipfile were seen to raise for bytes that are not, or no longer, theirs.
_DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

# What file systems without locks answer, some shares over a network among them.
_LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_log = logging.getLogger(__name__)


class RunFolder:
    """Names and formats of what a run leaves behind.

    =========================  ===================================================================
    ``config.yaml``            settings, versions and fingerprints: what a resumed run must match
    ``space.yaml``             what is searched: whole, so that the folder can be read elsewhere
    ``split.json``             photos on the training and validation side
    ``initial_grouping.json``  the grouping before the search
    ``grouping.json``          the grouping after the latest epoch
    ``history.jsonl``          one record for each epoch; the same for the same seed, bit for bit
    ``timings.jsonl``          seconds of each epoch, by the clock, of the CPU, and waiting for data
    ``checkpoint.pt``          everything that the rest of the run depends on
    ``result.json``            once finished: costs, health, validation errors
    =========================  ===================================================================
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(values.path("the run folder", path))

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock ends with the process, however it ends.

        What a process that was killed left half-written is removed.

        Where the file system has no locks, that is told, and it is not held.

        Raises:
            InputError: another process holds it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.path}: another run is writing to this folder") from error
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in _LOCKLESS:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"{self.path}: cannot be written: {reason}") from error
            _log.warning("%s: no locks there: see that no other run writes to it", self.path)
        try:
            self._remove_leftovers()
            yield
        finally:
            lock.release()

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return os.path.exists(self / CONFIG)  # Path.exists lets some errors out

    def check_free(self) -> None:
        """Raise :class:`InputError` if a run was started here, or what is named is no folder."""
        check_folder(self.path, "a run")
        if self.exists:
            raise InputError(
                f"{self.path}: holds a run already; --resume goes on, another --out begins"
            )

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml``."""
        write_text(self / CONFIG, yaml.safe_dump(config, sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """``config.yaml``; an :class:`InputError` where there is no run or it is damaged."""
        if not self.exists:
            raise InputError(f"{self.path}: no run to resume here ({CONFIG} is missing)")
        config = read_yaml(self / CONFIG)
        if not isinstance(config, dict):
            raise InputError(
                f"{self / CONFIG}: is damaged: expected settings, got {str(config)[:40]!r}"
            )
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
        try:
            old = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        whole = old[: old.rfind(b"\n") + 1]
        with atomic_path(path) as temporary:
            temporary.write_bytes(whole + json.dumps(record).encode() + b"\n")

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace ``checkpoint.pt`` by tensors and plain values."""
        import torch

        # By way of memory: of a full disk torch says "unexpected pos 64 vs 0".
        buffer = io.BytesIO()
        torch.save({"format": CHECKPOINT_FORMAT, **state}, buffer)
        with atomic_path(self / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(self) -> dict[str, Any]:
        """The last saved state; never executes what is in the file.

        Raises:
            InputError: it is missing, damaged, of another format, or holds more than tensors.
        """
        import torch

        path = self / CHECKPOINT
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"{path}: is missing; start again in a new folder") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:  # torch checks no checksums
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except _DAMAGE as error:
            raise InputError(
                f"{path}: is damaged or not a checkpoint; start again in a new folder"
            ) from error
        if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
            raise InputError(
                f"{path}: expected a checkpoint of format {CHECKPOINT_FORMAT}; start again in a "
                "new folder, or use the groupnas that wrote it"
            )
        return state

    def _remove_leftovers(self) -> None:
        """Remove the temporary files that :func:`atomic_path` names after the run's files."""
        for name in (CONFIG, SPACE, SPLIT, INITIAL, FOUND, HISTORY, TIMINGS, CHECKPOINT, RESULT):
            path = Path(name)
            for file in self.path.glob(f".{path.stem}-????????{path.suffix}"):
                file.unlink(missing_ok=True)
