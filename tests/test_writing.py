"""groupnas.writing: whole or not at all, and what is there stays what it is."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.files import (
    read_text,
)
from groupnas.writing import atomic_path, remove_leftovers, temporary_folder, write_text

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
        "import resource, sys; from groupnas.writing import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "write_text(sys.argv[1], 'x' * 100_000)"
    )
    result = run(code, old)
    assert result.returncode == 1
    assert f"InputError: {old}: cannot be written: File too large" in result.stderr
    assert only_old(old)


def test_killed_while_writing(old: Path) -> None:
    code = (
        "import os, sys; from groupnas.writing import atomic_path\n"
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
@pytest.mark.parametrize("inside", ["out.json", "sub/out.json"])
def test_folder_that_cannot_be_written(old: Path, inside: str) -> None:
    with pytest.raises(InputError) as caught:
        write_text(old / inside, "text")
    assert str(caught.value) == f"{old / inside}: cannot be written: Not a directory"
    assert only_old(old)


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out: cannot be written: Is a directory$"):
        write_text(tmp_path / "out", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


# -- what is there stays what it is -------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_keeps_its_permissions(old: Path, mode: int) -> None:
    old.chmod(mode)
    write_text(old, "new")
    assert old.read_text() == "new" and stat.S_IMODE(old.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_keeps_its_owner(old: Path) -> None:
    os.chown(old, 12345, 23456)
    write_text(old, "new")
    assert (old.stat().st_uid, old.stat().st_gid) == (12345, 23456)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_a_group_stays_the_groups(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(old, 12345, 23456)
    chown = os.chown

    def of_a_member(path: Path, user: int, group: int) -> None:
        if user != -1:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        chown(path, user, group)

    monkeypatch.setattr(os, "chown", of_a_member)
    write_text(old, "new")
    assert (old.stat().st_uid, old.stat().st_gid) == (os.geteuid(), 23456)


@pytest.mark.skipif(not hasattr(os, "listxattr"), reason="the system has no attributes")
def test_a_file_keeps_its_access_list(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, given = ["security.selinux", "system.posix_acl_access"], {}

    def give(path: Path, name: str, value: bytes) -> None:
        if name == names[0]:  # not everybody may
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        given[Path(path), name] = value

    monkeypatch.setattr(os, "listxattr", lambda path: names)
    monkeypatch.setattr(os, "getxattr", lambda path, name: f"{name} of {path}".encode())
    monkeypatch.setattr(os, "setxattr", give)
    with atomic_path(old) as temporary:
        temporary.write_text("new")
    assert given == {(temporary, names[1]): f"{names[1]} of {old}".encode()}


def test_a_file_that_must_not_be_written_is_not_replaced(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access  # of one who is not root
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != old and access(path, mode))
    with pytest.raises(InputError, match="grouping.json: cannot be written: Permission denied$"):
        write_text(old, "new")
    assert only_old(old)


@pytest.mark.parametrize("there", [True, False])
def test_links_are_written_through(old: Path, tmp_path: Path, there: bool) -> None:
    if not there:
        old.unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "first").symlink_to("other/second")
    (tmp_path / "other/second").symlink_to(Path("..") / old.name)
    write_text(tmp_path / "first", "new")
    assert old.read_text() == "new" and not old.is_symlink()
    assert (tmp_path / "first").is_symlink() and (tmp_path / "other/second").is_symlink()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    for use in (lambda path: write_text(path, "x"), read_text):
        with pytest.raises(InputError, match="a: cannot be .*: Too many levels of symbolic links"):
            use(tmp_path / "a")


def received(descriptor: int, start: Any, count: int) -> bytes:
    """What comes out of a descriptor while something is written elsewhere."""
    found: list[bytes] = []

    def read() -> None:
        while len(b"".join(found)) < count:
            found.append(os.read(descriptor, 1000))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    start()
    reader.join(20)
    return b"".join(found)


def test_a_named_pipe_stays_one_and_takes_what_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        assert received(end, lambda: write_text(tmp_path / "pipe", "text"), 4) == b"text"
    finally:
        os.close(end)
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 1


def test_a_device_stays_one_and_takes_what_is_written() -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    try:
        assert received(master, lambda: write_text(name, "text"), 4) == b"text"
        assert Path(name).is_char_device()
    finally:
        os.close(master), os.close(slave)


def test_an_open_file_is_written_where_it_stands(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w") as log:
        log.write("before\n")
        log.flush()
        write_text(f"/dev/fd/{log.fileno()}", "text\n")
        log.write("behind\n")
    assert (tmp_path / "log").read_text() == "before\ntext\nbehind\n"
    end, start = os.pipe()
    write_text(f"/dev/fd/{start}", "text")
    assert os.read(end, 10) == b"text"
    os.close(end), os.close(start)
    assert list(tmp_path.iterdir()) == [tmp_path / "log"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1"])
def test_standard_output_as_a_file(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from groupnas.writing import write_text\n"
        "print('before'); write_text(sys.argv[1], 'text\\n'); print('behind')"
    )
    with open(tmp_path / "out", "w") as out:
        subprocess.run([sys.executable, "-c", code, name], stdout=out, timeout=60, check=True)
    assert (tmp_path / "out").read_text() == "before\ntext\nbehind\n"


@pytest.mark.parametrize("refused", [errno.EBUSY, errno.EPERM, errno.EXDEV, None])
def test_a_file_that_cannot_be_replaced_is_written(
    old: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    """As a file that a container mounts by itself, somebody's in /tmp, or one in their folder."""
    if refused is not None:

        def refuse(*_: object) -> None:
            raise OSError(refused, os.strerror(refused))

        monkeypatch.setattr(os, "replace", refuse)
        write_text(old.parent / "none yet", "text")
        assert (old.parent / "none yet").read_text() == "text"
        (old.parent / "none yet").unlink()
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == old)
    number = old.stat().st_ino
    write_text(old, "new")
    assert old.read_text() == "new" and old.stat().st_ino == number
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("step", ["chmod", "chown", "fsync"])
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL])
def test_what_a_file_system_does_not_offer_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, refuse)
    for text in ("first", "second"):
        write_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text


# -- what killed processes leave ----------------------------------------------------------------

KILLED = (
    "import os, sys; from groupnas.writing import atomic_path\n"
    "with atomic_path(sys.argv[1]) as path:\n"
    "    path.write_text('half'); os._exit(9)"
)


def test_leftovers_of_any_file_are_removed_by_the_next_writer(tmp_path: Path) -> None:
    assert run(KILLED, tmp_path / "plot.png").returncode == 9
    (left,) = tmp_path.iterdir()
    code = "import sys; from groupnas.writing import write_text; write_text(sys.argv[1], 'text')"
    assert run(code, tmp_path / "other.json").returncode == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "other.json"] and not left.exists()


def test_leftovers_among_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = (
        "import os; from groupnas.writing import temporary_folder\n"
        "with temporary_folder() as path:\n"
        "    (path / 'file').write_text('half'); os._exit(9)"
    )
    assert run(KILLED, os.devnull).returncode == 9 and len(list(tmp_path.iterdir())) == 1
    assert run(folder).returncode == 9  # what was there is gone, one more is left
    (left,) = tmp_path.iterdir()
    assert (left / "file").read_text() == "half"
    code = "import os; from groupnas.writing import write_text; write_text(os.devnull, 'text')"
    assert run(code).returncode == 0 and not list(tmp_path.iterdir())


def test_a_temporary_folder_is_removed_at_the_end_and_not_before() -> None:
    with temporary_folder() as folder:
        (folder / "file").write_text("text")
        remove_leftovers(folder.parent)
        assert (folder / "file").read_text() == "text"
    assert not folder.exists()


def test_leftovers_are_removed_and_those_of_living_writers_are_not(tmp_path: Path) -> None:
    (tmp_path / ".groupnas-settings").mkdir()
    (tmp_path / ".hidden").write_text("somebody's")
    with atomic_path(tmp_path / "a.png") as temporary:
        assert run(KILLED, tmp_path / "b.png").returncode == 9
        assert len(list(tmp_path.iterdir())) == 4
        remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 3
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.png",
        ".hidden",
        ".groupnas-settings",
    }
    remove_leftovers(tmp_path / "no such folder")


# -- names and contents of all kinds ------------------------------------------------------------


@pytest.mark.parametrize("name", [b"caf\xe9.json", b"x" * 250 + b".json", b"-o", b"a\nb", b"%d:*?"])
def test_any_name_is_written_and_read(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    write_text(path, "text")
    assert read_text(path) == "text" and os.listdir(os.fsencode(tmp_path)) == [name]


def test_bytes_that_are_no_text_are_written_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "list.csv", f"Größe,{os.fsdecode(bytes([0x63, 0xE9]))},\ud834\n")
    assert (tmp_path / "list.csv").read_bytes() == "Größe,c\\xe9,\\ud834\n".encode()
