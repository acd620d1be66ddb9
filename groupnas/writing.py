"""Files written whole or not at all; what is there stays what it is."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from groupnas.errors import InputError, escaped
from groupnas.files import opened
from groupnas.values import path as path_of

_TEMPORARY = ".groupnas-tmp-"  # no name that anybody gives
# What file systems answer that know no permissions, no locks, or no way to the disk.
_NOT_OFFERED = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, else it is removed.

    The contents reach the disk before the rename, so a reader sees the old file or the new one,
    never a part of it, whatever is killed and whenever. What killed processes left in that folder
    is removed.

    What is there stays what it is: a link is written through; a file keeps its permissions, its
    attributes, its owner and its group, where the system lets them be given, though not its hard
    links. What cannot be replaced (a device, a pipe, ``/dev/fd/N``, a file in a folder that is not
    to be written, or where only owners rename) gets the contents once they are whole. A named pipe
    waits for its reader.

    Raises:
        InputError: the folder cannot be made or written, the file must not be written, or the disk
            is full.
    """
    named = Path(path_of("path", path))
    try:
        there = _status(named)
        replaceable = there is None or (stat.S_ISREG(there.st_mode) and opened(named) is None)
        target = Path(os.path.realpath(named)) if replaceable else named
        if there is not None and replaceable and not os.access(target, os.W_OK):
            raise _error(errno.EACCES)  # a rename would not ask
        if there is not None and not os.access(target.parent, os.W_OK):
            replaceable = False
        if replaceable:
            target.parent.mkdir(parents=True, exist_ok=True)
        folder = target.parent if replaceable else Path(tempfile.gettempdir())
        _sweep(folder)
        # The suffix stays: image writers choose their format by it.
        with _temporary_file(named.suffix, folder) as temporary:
            yield temporary
            _settle(temporary, target, there)
            if not (replaceable and _replaced(temporary, target)):
                _pour(temporary, target)
    except OSError as error:
        raise InputError(f"{named}: cannot be written: {error.strerror or error}") from error


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed processes left in a folder, whatever they were for.

    Those of living processes are locked, and stay.
    """
    with suppress(OSError):  # nothing there, or nothing that may be listed
        for name in os.listdir(folder):
            if name.startswith(_TEMPORARY):
                _remove_unlocked(os.path.join(folder, name))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for files that a library reads or writes by name; removed at the end.

    Where this process is killed, the next that writes a temporary file there removes it.
    """
    _sweep(Path(tempfile.gettempdir()))
    with _temporary(_temporary_folder) as folder:
        yield folder


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; raises as :func:`atomic_path`.

    What UTF-8 cannot say, the odd bytes of a file's name, is written as ``\\xNN``.
    """
    content = re.sub("[\ud800-\udfff]", lambda found: escaped(found[0]), text)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode())


def _status(path: Path) -> os.stat_result | None:
    """Return the state of what is there, behind links; ``None`` where nothing is yet."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise _error(errno.EISDIR)
    return found


def _temporary_file(suffix: str, folder: Path) -> AbstractContextManager[Path]:
    suffix = suffix if len(os.fsencode(suffix)) <= 32 else ""
    return _temporary(lambda: tempfile.mkstemp(dir=folder, prefix=_TEMPORARY, suffix=suffix))


def _temporary_folder() -> tuple[int, str]:
    name = tempfile.mkdtemp(prefix=_TEMPORARY)
    return os.open(name, os.O_RDONLY), name


@contextmanager
def _temporary(make: Callable[[], tuple[int, str]]) -> Iterator[Path]:
    """Make a file, locked until this process ends, however it ends; remove it if still there."""
    while True:
        descriptor, name = make()
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.exists(name):  # not taken for a leftover before it was locked
            break
        os.close(descriptor)
    try:
        yield Path(name)
    finally:
        _remove(name)
        os.close(descriptor)


def _remove(name: str) -> None:
    if os.path.isdir(name):
        shutil.rmtree(name, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(name)


@cache  # once in the life of a process
def _sweep(folder: Path) -> None:
    remove_leftovers(folder)


def _remove_unlocked(file: str) -> None:
    with suppress(OSError):  # not ours, gone, or locked
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(file)
        finally:
            os.close(descriptor)


def _settle(temporary: Path, target: Path, there: os.stat_result | None) -> None:
    """Have the contents on the disk, with the owner and permissions that the file has, if any."""
    with open(temporary, "rb+") as written:
        _if_offered(os.fsync, written.fileno())
    if there is None:
        _if_offered(os.chmod, temporary, 0o666 & ~_umask())
    elif stat.S_ISREG(there.st_mode):
        own = os.stat(temporary)
        if own.st_uid != there.st_uid:
            _if_offered(os.chown, temporary, there.st_uid, -1)
        if own.st_gid != there.st_gid:  # this, a member may give
            _if_offered(os.chown, temporary, -1, there.st_gid)
        _if_offered(os.chmod, temporary, stat.S_IMODE(there.st_mode))
        _if_offered(_copy_attributes, target, temporary)


def _copy_attributes(source: Path, to: Path) -> None:
    """Access lists among them: without, those of them lose a file, and its group gains it."""
    for name in os.listxattr(source) if hasattr(os, "listxattr") else ():
        _if_offered(_copy_attribute, source, to, name)


def _copy_attribute(source: Path, to: Path, name: str) -> None:
    os.setxattr(to, name, os.getxattr(source, name))


def _replaced(temporary: Path, target: Path) -> bool:
    """Rename; false where what is there must be written to instead.

    That is a file that is mounted by itself, as containers do with single files, one of somebody
    else in a folder such as ``/tmp``, or any where the file system does not replace.
    """
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.EXDEV, *_NOT_OFFERED}:
            raise
        return False
    return True


def _pour(temporary: Path, target: Path) -> None:
    """Write into what is there; into an open file behind what it holds so far."""
    number = opened(target)
    if number is None:
        descriptor = os.open(target, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o666)
    else:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        descriptor = os.dup(number)
    with open(temporary, "rb") as source, open(descriptor, "wb") as sink:
        shutil.copyfileobj(source, sink)


def _if_offered(step: Callable[..., None], *arguments: Any) -> None:
    """Do what is a nicety, where the file system offers it."""
    try:
        step(*arguments)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
