"""Files that users own: written whole or not at all, and found by name."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from groupnas.errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, else it is removed.

    The contents reach the disk before the rename, so a reader sees the old file or the new one,
    never a part of it, whatever is killed and whenever.

    Raises:
        InputError: the folder cannot be made or written, or the disk is full.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        if target.parent.exists() and not target.parent.is_dir():
            raise InputError(f"{target}: cannot be written: {target.parent} is not a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: image writers choose their format by it.
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; raises as :func:`atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: str | os.PathLike[str]) -> str:
    """The UTF-8 text of a file; an :class:`InputError` names a file that cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def nearest(name: str, choices: Iterable[str]) -> str:
    """The end of an error message about an unknown ``name``: the nearest choice and all of them."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choose from: {', '.join(known) or '(none)'}"


def shipped_names(kind: str) -> list[str]:
    """Names of the YAML files of one kind (``search_spaces``, ``strategies``), the user's first.

    Looks in the working directory's folder of that name, then in what groupnas ships.
    """
    found = {file.stem: None for folder in _folders(kind) for file in sorted(folder.glob("*.yaml"))}
    return list(found)


def find_shipped(kind: str, name: str) -> Path:
    """The YAML file that ``name`` means: a path, ``./kind/name.yaml``, or a shipped file.

    Raises:
        InputError: no such file; the message suggests the nearest name.
    """
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{name}: no such file")
        return path
    for folder in _folders(kind):
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    noun = kind.split("/")[-1].replace("_", " ")
    raise InputError(f"{name!r} is not among the {noun}; {nearest(name, shipped_names(kind))}")


def _folders(kind: str) -> list[Path]:
    package = Path(str(resources.files("groupnas")))
    shipped = package / "_shipped" / kind
    if not shipped.is_dir():  # not installed from a wheel but run from the checkout
        shipped = package.parent / kind
    return [folder for folder in dict.fromkeys([Path.cwd() / kind, shipped]) if folder.is_dir()]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
