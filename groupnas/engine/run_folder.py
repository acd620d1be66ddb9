"""The run folder: one search's files, written whole or not at all, one process at a time."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout

from groupnas.errors import InputError
from groupnas.files import atomic_path, write_text
from groupnas.schema import read_yaml

CHECKPOINT_FORMAT = 1


class RunFolder:
    """Names and formats of what a run leaves behind.

    ========================  ====================================================================
    ``config.yaml``           settings, versions and fingerprints: what a resumed run must match
    ``split.json``            photos on the training and validation side
    ``initial_grouping.json`` the grouping before the search
    ``grouping.json``         the grouping after the latest epoch
    ``history.jsonl``         one record for each epoch; the same for the same seed, bit for bit
    ``timings.jsonl``         seconds of each epoch, and how many of them waited for data
    ``checkpoint.pt``         everything that the rest of the run depends on
    ``result.json``           once finished: costs, health, validation errors
    ========================  ====================================================================
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock ends with the process, however it ends.

        Raises:
            InputError: another process holds it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.path}: another run is writing to this folder") from error
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written: {error.strerror or error}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self / "config.yaml").exists()

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml``."""
        write_text(self / "config.yaml", yaml.safe_dump(config, sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """``config.yaml``; an :class:`InputError` where there is no run or it is damaged."""
        if not self.exists:
            raise InputError(f"{self.path}: no run to resume here (config.yaml is missing)")
        config = read_yaml(self / "config.yaml")
        if not isinstance(config, dict):
            raise InputError(f"{self / 'config.yaml'}: expected settings, got {config!r}")
        return config

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file."""
        write_text(self / name, json.dumps(value, indent=2) + "\n")

    def write_lines(self, name: str, records: Sequence[Any]) -> None:
        """Write one JSON record a line, all of them."""
        write_text(self / name, "".join(json.dumps(record) + "\n" for record in records))

    def append_line(self, name: str, record: Any) -> None:
        """Add one JSON record to a log that nothing depends on."""
        try:
            with open(self / name, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(f"{self / name}: cannot be written: {error.strerror}") from error

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace ``checkpoint.pt`` by tensors and plain values."""
        with atomic_path(self / "checkpoint.pt") as temporary:
            try:
                torch.save({"format": CHECKPOINT_FORMAT, **state}, temporary)
            except RuntimeError as error:  # torch's word for a disk that is full
                raise OSError(None, str(error).splitlines()[0]) from error

    def load_checkpoint(self) -> dict[str, Any]:
        """The last saved state; never executes what is in the file.

        Raises:
            InputError: it is missing, damaged, of another format, or holds more than tensors.
        """
        path = self / "checkpoint.pt"
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise InputError(f"{path}: is missing; start again in a new folder") from error
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as e:
            raise InputError(f"{path}: is damaged or not a checkpoint; start again") from e
        if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
            raise InputError(f"{path}: expected checkpoint format {CHECKPOINT_FORMAT}")
        return state
