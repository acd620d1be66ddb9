"""Standard output and standard error, which may be closed, full, or of another encoding."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stdout,
    suppress,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from groupnas.errors import InputError
from groupnas.files import opened

if TYPE_CHECKING:
    from rich.progress import Progress

    from groupnas.spaces.measure import Measure

_NARROW = 40  # columns; narrower terminals are taken to be as wide


class OutputLost(Exception):
    """Standard output does not take what is written to it.

    Attributes:
        unread: The reader of a pipe, e.g. head, has seen enough; else a disk may be full.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror or error}")
        self.unread = error.errno == errno.EPIPE


@contextmanager
def standard_streams() -> Iterator[None]:
    """Streams that take every character; where one is closed, what is written goes nowhere.

    Standard output raises :class:`OutputLost`, once. Standard error is for words that a person may
    miss: that they cannot be written stops nothing.
    """
    for name in ("COLUMNS", "LINES"):
        if not os.environ.get(name, "0").isdecimal():
            del os.environ[name]  # rich takes `²` for a number
    told = int(os.environ.get("COLUMNS", _NARROW))
    if min(told, shutil.get_terminal_size().columns) < _NARROW:
        os.environ["COLUMNS"] = str(_NARROW)  # where nothing fits, wrapping has no end
    names = ("stdin", "stdout", "stderr")
    for number, name in enumerate(names):
        if getattr(sys, name) is None:
            _occupy(number)
    for number, name in enumerate(names):
        if getattr(sys, name) is None:
            null = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, null)
    real = sys.stdout, sys.stderr
    for stream in real:
        _encode_all(stream)
    sys.stdout, sys.stderr = _Output(real[0]), _Words(real[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = real


def tell_caveat(measure: Measure) -> None:
    """Tell why a measure's costs are not those of this machine, where they are not."""
    caveat = measure.caveat()
    if caveat is not None:
        tell(caveat)


def tell(line: str) -> None:
    """One line on standard error."""
    print(f"groupnas: {line}", file=sys.stderr)


@contextmanager
def courtesy(what: str, file: Path | None = None) -> Iterator[None]:
    """Do what is not a command's work itself; where it cannot be done, that is told.

    Args:
        what: Was not done then, e.g. ``"the plot was not drawn"``.
        file: That was written; see :func:`beside`.
    """
    try:
        with beside(file):
            yield
            sys.stdout.flush()
    except InputError as error:
        tell(f"{what}: {error}")
    except OutputLost as lost:
        if not lost.unread:
            tell(f"{what}: {lost}")


def beside(file: Path | None) -> AbstractContextManager[Any]:
    """Print to standard error where a file that is written is standard output: it stays whole."""
    alone = file is not None and opened(file) == 1
    return redirect_stdout(sys.stderr) if alone else nullcontext()


def tell_ceiling(folder: Path, budget: float = 1.0) -> None:
    """Print what a search can gain behind a run that measured groups at several costs.

    Nothing behind others. A courtesy: what goes wrong is told, and stops nothing.
    """
    from groupnas.ceilings import ceiling as estimate
    from groupnas.ceilings import has_measurements

    with courtesy("what a search can gain was not told"):
        if has_measurements(folder):
            found = estimate(folder, budget)
            print(f"ceiling at {budget:g} of even groups' {found.unit}: {found}")
            if found.cautions:
                count = f"cautions: {len(found.cautions)}"
                print(f"{count}; see groupnas ceiling {folder} --budget {budget:g}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say what takes long while it does, on standard error where that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} ..."):
        yield


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar, on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


class _Stream(ABC):
    """A stream that is asked for nothing more once it failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._watched():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._watched():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Python would try again when it ends, and end with an exit code of its own
            with suppress(OSError, ValueError):  # it is no file
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
            self._failed(error)

    @abstractmethod
    def _failed(self, error: OSError) -> None:
        """Raise, or write elsewhere, once writing has failed."""


class _Output(_Stream):
    def _failed(self, error: OSError) -> None:
        raise OutputLost(error) from error


class _Words(_Stream):
    def _failed(self, error: OSError) -> None:
        pass


def _occupy(number: int) -> None:
    """Let no file that is opened get the number of a closed stream.

    What a library writes to that stream would end in the file.
    """
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _encode_all(stream: Any) -> None:
    """Characters that its encoding lacks are written as their numbers."""
    utf8 = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    keeps = utf8 and stream.errors == "surrogateescape"  # names of files that are no text
    if hasattr(stream, "reconfigure") and not keeps:
        stream.reconfigure(errors="backslashreplace")
