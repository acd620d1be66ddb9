"""The run folder: whole files, one process at a time, and a checkpoint that executes nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import HOLDER, ROOT
from hypothesis import given
from hypothesis import strategies as st

import groupnas.writing
from groupnas.errors import InputError
from groupnas.runs.folder import CHECKPOINT, CHECKPOINT_FORMAT, RunFolder

STATE: dict[str, Any] = {
    "weights": torch.arange(24.0).view(4, 6),
    "history": [{"epoch": 1, "loss": 0.5}],
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def one_line(error: pytest.ExceptionInfo[InputError]) -> bool:
    return "\n" not in str(error.value)


# -- the lock -----------------------------------------------------------------------------------


def test_a_second_process_is_refused_until_the_first_is_killed(folder: RunFolder) -> None:
    command = [sys.executable, "-c", HOLDER, str(folder.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="another run is writing to this folder") as error:
            folder.locked().__enter__()
        assert one_line(error)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with folder.locked():
        pass


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(n, "none") for n in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)),
        NotImplementedError("none"),
    ],
)
def test_a_file_system_without_locks(
    folder: RunFolder,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("groupnas.runs.folder.FileLock.acquire", refuse)
    with folder.locked():
        folder.write_json("a.json", 1)
    (record,) = caplog.records
    assert record.getMessage().endswith("no locks there: see that no other run writes to it")


def test_the_lock_is_released_by_an_error_too(folder: RunFolder) -> None:
    with pytest.raises(KeyError), folder.locked():
        raise KeyError
    with folder.locked():
        pass


@pytest.mark.parametrize("name", [CHECKPOINT, "tetris.png", "errors-test.npz", "what.ever"])
def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(
    folder: RunFolder, name: str
) -> None:
    with groupnas.writing.atomic_path(folder / name) as temporary:
        kept = temporary
    kept.touch()  # as if killed before the rename
    others = [".hidden", ".checkpoint-mine.pt", name]
    (folder / ".hidden").touch()
    (folder / ".checkpoint-mine.pt").touch()
    with folder.locked():
        assert {file.name for file in folder.path.iterdir()} == {*others, ".lock"}


@pytest.mark.parametrize("name", ["history.jsonl", "result.json", "tetris.png"])
def test_a_pipe_in_a_run_folder_is_refused_at_once(folder: RunFolder, name: str) -> None:
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match=f"{name}: is no regular file; remove it"):
        folder.locked().__enter__()
    (folder / name).unlink()
    with folder.locked():
        pass


# -- places where no folder can be --------------------------------------------------------------


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: cannot be written: File exists"):
        RunFolder(tmp_path / "file").locked().__enter__()
    with pytest.raises(InputError, match="file/run: cannot be written: Not a directory"):
        RunFolder(tmp_path / "file/run").locked().__enter__()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_too_long(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / ("x" * 300))
    assert not folder.exists
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        folder.locked().__enter__()


# -- the files ----------------------------------------------------------------------------------


def test_config_comes_back(folder: RunFolder) -> None:
    config = {"seed": 3, "strategy": {"lr": 1e-05, "betas": [0.5, 0.999]}, "task": "größe"}
    assert not folder.exists
    folder.write_config(config)
    assert folder.exists and folder.read_config() == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "config.yaml: cannot be read: No such file"),
        ("", "config.yaml: is damaged: expected settings, got None"),
        ("just words", "config.yaml: is damaged: expected settings, got 'just words'"),
        ("a: [1,", "config.yaml:1: is not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "config.yaml:1: is not YAML"),
        (b"\xff\x00", r"config.yaml: is not a text file \(byte 0\)"),
    ],
)
def test_config_that_is_missing_or_damaged(
    folder: RunFolder, text: str | bytes | None, message: str
) -> None:
    if text is not None:
        (folder / "config.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=message) as error:
        folder.read_config()
    assert one_line(error)


def test_a_log_goes_on_behind_its_last_whole_line(folder: RunFolder) -> None:
    folder.append_line("timings.jsonl", {"epoch": 1})
    with open(folder / "timings.jsonl", "a") as file:
        file.write('{"epoch": 2, "sec')  # killed while writing
    folder.append_line("timings.jsonl", {"epoch": 2})
    lines = (folder / "timings.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2}]


def test_files_stay_whole_when_the_disk_is_full(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save_checkpoint(STATE)
    folder.write_lines("history.jsonl", [1])
    folder.append_line("timings.jsonl", 1)
    before = {file.name: file.read_bytes() for file in folder.path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(groupnas.writing.os, "fsync", full)
    for write in (
        lambda: folder.save_checkpoint({"weights": torch.zeros(9)}),
        lambda: folder.write_lines("history.jsonl", [1, 2]),
        lambda: folder.append_line("timings.jsonl", 2),
        lambda: folder.write_json("result.json", {}),
        lambda: folder.write_config({}),
    ):
        with pytest.raises(InputError, match="cannot be written: No space left on device"):
            write()
    assert {file.name: file.read_bytes() for file in folder.path.iterdir()} == before


# -- the checkpoint -----------------------------------------------------------------------------


def test_checkpoint_comes_back(folder: RunFolder) -> None:
    folder.save_checkpoint(STATE)
    state = folder.load_checkpoint()
    assert torch.equal(state["weights"], STATE["weights"])
    assert state["history"] == STATE["history"] and state["format"] == CHECKPOINT_FORMAT
    first = (folder / CHECKPOINT).read_bytes()
    folder.save_checkpoint(STATE)
    assert (folder / CHECKPOINT).read_bytes() == first


class Bomb:
    """What a pickle would execute when it is loaded without care."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def packed(content: bytes) -> bytes:
    """A whole torch archive whose pickle is ``content``."""
    buffer, result = io.BytesIO(), io.BytesIO()
    torch.save({"x": 1}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("data.pkl") else old.read(name))
    return result.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"not a checkpoint",
        b"\x00" * 1000,
        saved({"format": CHECKPOINT_FORMAT})[:-10],
        pickle.dumps({"format": CHECKPOINT_FORMAT}),
        pickle.dumps(Bomb()),
        saved(Bomb()),
        saved({"format": CHECKPOINT_FORMAT, "x": Bomb()}),
        saved(Bomb(), _use_new_zipfile_serialization=False),
        packed(pickle.dumps(Bomb(), protocol=2)),
        packed(b""),
        packed(b"garbage"),
    ],
)
def test_no_checkpoint(folder: RunFolder, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    (folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(InputError, match="checkpoint.pt: is damaged or not a checkpoint") as error:
        folder.load_checkpoint()
    assert one_line(error)
    assert not (folder / "exploded").exists()


def test_the_bomb_is_a_bomb(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    torch.load(io.BytesIO(saved(Bomb())), weights_only=False)
    assert (folder / "exploded").exists()


@pytest.mark.parametrize(
    "state", [{"format": CHECKPOINT_FORMAT + 1}, {"x": 1}, [1, 2], torch.zeros(2)]
)
def test_another_format(folder: RunFolder, state: Any) -> None:
    (folder / CHECKPOINT).write_bytes(saved(state))
    with pytest.raises(InputError, match="checkpoint.pt: expected a checkpoint of format"):
        folder.load_checkpoint()


def test_no_checkpoint_at_all(folder: RunFolder) -> None:
    with pytest.raises(InputError, match="checkpoint.pt: is missing; start again in a new folder"):
        folder.load_checkpoint()


@pytest.mark.parametrize(
    "put",
    [
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/null"),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path.name),
    ],
)
def test_what_is_no_regular_file_is_no_checkpoint(
    folder: RunFolder, put: Callable[[Path], None]
) -> None:
    put(folder / CHECKPOINT)
    with pytest.raises(InputError, match="checkpoint.pt: is no regular file; start again"):
        folder.load_checkpoint()


def test_a_huge_empty_file_is_not_read_whole(folder: RunFolder) -> None:
    with open(folder / CHECKPOINT, "wb") as file:
        file.truncate(2**40)  # a hole
    with pytest.raises(InputError, match="checkpoint.pt: is damaged or not a checkpoint"):
        folder.load_checkpoint()


@given(st.data())
def test_damage_is_never_taken_for_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Flipped or lost bytes are refused, or stand where nothing is read."""
    folder = RunFolder(tmp_path_factory.mktemp("damaged"))
    folder.save_checkpoint(STATE)
    content = bytearray((folder / CHECKPOINT).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content) - 1)))
    (folder / CHECKPOINT).write_bytes(content[:cut])
    try:
        state = folder.load_checkpoint()
    except InputError as error:
        assert str(error).startswith(str(folder / CHECKPOINT)) and "\n" not in str(error)
        return
    assert torch.equal(state["weights"], STATE["weights"])
    assert state["history"] == STATE["history"]
