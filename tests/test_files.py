"""groupnas.files: whole or not at all, and found by name."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from groupnas.errors import InputError
from groupnas.files import atomic_path, nearest, read_text, write_text

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that must survive whatever goes wrong."""
    path = tmp_path / "grouping.json"
    path.write_text("old")
    return path


def only_old(path: Path) -> bool:
    return path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text.txt"
    write_text(path, "first")
    write_text(str(path), "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert read_text(path) == "Größe\n"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_path_lies_beside_and_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "plot.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert not (tmp_path / "plot.png").exists()


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_exception_inside_leaves_the_old_file(old: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), atomic_path(old) as temporary:
        temporary.write_text("half")
        raise error
    assert only_old(old)


def test_full_disk_while_writing(old: Path) -> None:
    with pytest.raises(InputError) as caught, atomic_path(old):
        raise NO_SPACE
    assert str(caught.value) == f"{old}: cannot be written: No space left on device"
    assert only_old(old)


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_full_disk_while_finishing(old: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object) -> None:
        raise NO_SPACE

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(InputError, match="cannot be written: No space left on device$"):
        write_text(old, "new")
    monkeypatch.undo()
    assert only_old(old)


def test_synced_before_it_gets_its_name(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def note(step: str) -> None:
        original = getattr(os, step)

        def noting(*arguments: object) -> None:
            steps.append(step)
            original(*arguments)

        monkeypatch.setattr(os, step, noting)

    note("fsync")
    note("replace")
    write_text(old, "new")
    assert steps == ["fsync", "replace"]
    assert old.read_text() == "new"


def test_a_write_that_the_system_cuts_short(old: Path) -> None:
    pytest.importorskip("resource")
    code = (
        "import resource, sys; from groupnas.files import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "write_text(sys.argv[1], 'x' * 100_000)"
    )
    result = run(code, old)
    assert result.returncode == 1
    assert f"InputError: {old}: cannot be written: File too large" in result.stderr
    assert only_old(old)


def test_killed_while_writing(old: Path) -> None:
    code = (
        "import os, sys; from groupnas.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); os._exit(9)"
    )
    assert run(code, old).returncode == 9
    assert old.read_text() == "old"


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_follow_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
        assert os.umask(mask) == mask, "the umask itself must not change"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


# Files stand in the folder's place, since permissions do not bind root.
@pytest.mark.parametrize(
    ("inside", "reason"),
    [("out.json", "{old} is not a folder"), ("sub/out.json", "Not a directory")],
)
def test_folder_that_cannot_be_written(old: Path, inside: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        write_text(old / inside, "text")
    assert str(caught.value) == f"{old / inside}: cannot be written: {reason.format(old=old)}"
    assert only_old(old)


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out: cannot be written: Is a directory$"):
        write_text(tmp_path / "out", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"ok\xff\x00")
    for path, reason in [
        (binary, "is not a text file (byte 2)"),
        (tmp_path / "none.json", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
    ]:
        with pytest.raises(InputError) as caught:
            read_text(path)
        assert str(caught.value) == f"{path}: {reason}"


def test_nearest_suggests_and_lists() -> None:
    spaces = ["picasso_local", "picasso_global", "bee"]
    listed = "choose from: bee, picasso_global, picasso_local"
    assert nearest("picaso_local", spaces) == f"did you mean 'picasso_local'? {listed}"
    assert nearest("zzz", spaces) == listed
    assert nearest("zzz", []) == "choose from: (none)"
