"""Files that users own: read and written whole or not at all, and found by name."""

from __future__ import annotations

import codecs
import difflib
import errno
import fcntl
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from groupnas.errors import InputError, escaped, shown
from groupnas.values import path as path_of

LARGEST = 2**30  # bytes of a file that is read at once; such files have some megabytes

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


def read_bytes(path: str | os.PathLike[str], limit: int = LARGEST) -> bytes:
    """The contents of a regular file, or of what the shell hands over as ``/dev/fd/N``.

    Raises:
        InputError: it cannot be read, has more than ``limit`` bytes, or is no regular file: a
            device may never end, and a pipe never begin.
    """
    path = path_of("path", path)
    try:
        # A pipe without a writer is opened, too, so that it can be told
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISDIR(status.st_mode):
                raise _error(errno.EISDIR)
            if not stat.S_ISREG(status.st_mode) and opened(Path(path)) is None:
                raise InputError(f"{os.fspath(path)}: is not a regular file")
            os.set_blocking(file.fileno(), True)
            content = file.read(limit + 1) if status.st_size <= limit else b""
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{os.fspath(path)}: cannot be read: {reason}") from error
    if max(status.st_size, len(content)) > limit:
        raise InputError(f"{os.fspath(path)}: is too large: over {limit:,} bytes")
    return content


def read_text(path: str | os.PathLike[str], limit: int = LARGEST) -> str:
    """The UTF-8 text of a file, without a byte order mark; its lines end in ``\\n``.

    Raises:
        InputError: as :func:`read_bytes`, or it is not text.
    """
    content = read_bytes(path, limit)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is text in UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file (byte {error.start})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str, origin: str) -> Any:
    """The value of a JSON text; an :class:`InputError` begins with ``origin`` where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{origin}:{error.lineno}: is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits; nested too deeply
        raise InputError(f"{origin}: is not JSON: {error}") from error


def nearest(name: str, choices: Iterable[str]) -> str:
    """The end of an error message about an unknown ``name``: the nearest choice and all of them."""
    known = sorted(choices)
    close = difflib.get_close_matches(name[:80], known, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choose from: {', '.join(known) or '(none)'}"


def shipped_names(kind: str) -> list[str]:
    """Names of the YAML files of one kind (``search_spaces``, ``strategies``), the user's first.

    Looks in the working directory's folder of that name, then in what groupnas ships. In the former
    may lie files of another program: who reads all must go on behind one that is wrong.
    """
    files = (file for folder in _folders(kind) for file in sorted(folder.glob("*.yaml")))
    return list(dict.fromkeys(file.stem for file in files if os.path.isfile(file)))


def find_shipped(kind: str, name: str) -> Path:
    """The YAML file that ``name`` means: a path, ``./kind/name.yaml``, or a shipped file.

    Raises:
        InputError: no such file; the message suggests the nearest name.
    """
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        if not os.path.exists(name):
            raise InputError(f"{name}: no such file")
        return Path(name)
    found = _shipped(kind, name)
    if found is None:
        noun = kind.split("/")[-1].replace("_", " ")
        choices = nearest(name, shipped_names(kind))
        raise InputError(f"{shown(name)} is not among the {noun}; {choices}")
    return found


def split_choice(kind: str, name: str) -> tuple[str, str | None]:
    """``name:choice`` in its two parts; the second is ``None`` where a file is called all of it."""
    if ":" not in name or os.path.exists(name) or _shipped(kind, name):
        return name, None
    stem, choice = name.rsplit(":", 1)
    return stem, choice


def split_text(kind: str, name: str) -> tuple[str, str | None]:
    """``name=text`` in its two parts; the second is ``None`` where a file is called all of it.

    Folders may have a ``=`` in their names, too: the first part is one that there is.
    """
    ends = [place for place, letter in enumerate(name) if letter == "="]
    for end in (len(name), *ends):
        stem, choice = split_choice(kind, name[:end])
        known = os.path.isfile(stem) or _shipped(kind, stem)
        if known and "=" not in (choice or ""):
            return name[:end], name[end + 1 :] if end < len(name) else None
    stem, sign, text = name.partition("=")
    return (stem, text) if sign and os.sep not in stem else (name, None)


def _shipped(kind: str, name: str) -> Path | None:
    files = (folder / f"{name}.yaml" for folder in _folders(kind))
    return next((file for file in files if os.path.isfile(file)), None)


def _folders(kind: str) -> list[Path]:
    package = Path(str(resources.files("groupnas")))
    shipped = package / "_shipped" / kind
    if not shipped.is_dir():  # not installed from a wheel but run from the checkout
        shipped = package.parent / kind
    here: list[Path] = []
    with suppress(OSError):  # a working directory that was removed
        here = [Path.cwd() / kind]
    return [folder for folder in dict.fromkeys([*here, shipped]) if os.path.isdir(folder)]


def _status(path: Path) -> os.stat_result | None:
    """What is there, behind links; ``None`` where nothing is yet."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise _error(errno.EISDIR)
    return found


def opened(path: Path) -> int | None:
    """N where a path means this process's open file N: ``/dev/fd/N``, ``/dev/stdout`` ..."""
    own = os.path.realpath("/dev/fd")
    for _ in range(40):  # as many links as the system follows
        if path.name.isdecimal() and os.path.realpath(path.parent) == own:
            return int(path.name)
        if not path.is_symlink():
            break
        path = path.parent / os.readlink(path)
    return None


def _temporary_file(suffix: str, folder: Path) -> AbstractContextManager[Path]:
    suffix = suffix if len(os.fsencode(suffix)) <= 32 else ""
    return _temporary(lambda: tempfile.mkstemp(dir=folder, prefix=_TEMPORARY, suffix=suffix))


def _temporary_folder() -> tuple[int, str]:
    name = tempfile.mkdtemp(prefix=_TEMPORARY)
    return os.open(name, os.O_RDONLY), name


@contextmanager
def _temporary(make: Callable[[], tuple[int, str]]) -> Iterator[Path]:
    """What is made, locked until this process ends, however it ends; removed if still there."""
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
