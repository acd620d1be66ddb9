"""Files that users own: read whole, and found by name; :mod:`groupnas.writing` writes them."""

from __future__ import annotations

import codecs
import difflib
import errno
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from groupnas.errors import InputError, reading, shown
from groupnas.values import path as path_of

LARGEST = 2**30  # bytes of a file that is read at once; such files have some megabytes


def read_bytes(path: str | os.PathLike[str], limit: int = LARGEST) -> bytes:
    """The contents of a regular file, or of what the shell hands over as ``/dev/fd/N``.

    Raises:
        InputError: it cannot be read, has more than ``limit`` bytes, or is no regular file: a
            device may never end, and a pipe never begin.
    """
    path = path_of("path", path)
    # A pipe without a writer is opened, too, so that it can be told
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    with reading(path), open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode) and opened(Path(path)) is None:
            raise InputError(f"{path}: is not a regular file")
        os.set_blocking(file.fileno(), True)
        content = file.read(limit + 1) if status.st_size <= limit else b""
    if max(status.st_size, len(content)) > limit:
        raise InputError(f"{path}: is too large: over {limit:,} bytes")
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
    """Return the end of an error message about an unknown name: which names there are.

    ``did you mean 'even'? choose from: even, random``; no question where no choice is near.
    """
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return found
