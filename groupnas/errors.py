"""The one exception that means "what the user gave is at fault", and how it is worded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from reprlib import Repr

LONGEST = 900  # characters of a message: what a person reads, whatever the file held


class InputError(ValueError):
    """A file, an option or a value from outside is wrong; the message says which, and what to do.

    The command line turns it into one line on standard error and exit code 2. Bugs of groupnas
    itself must never be raised as this class.

    Args:
        message: Made one printable line of at most 900 characters: line breaks become
            spaces, what cannot be printed is escaped, and what is too long loses its middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))


@contextmanager
def naming(place: object) -> Iterator[None]:
    """Have an :class:`InputError` from inside begin with a place: a file, a line, a key."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Make what the system says of a file that is read an :class:`InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def shown(value: object, limit: int = 80) -> str:
    """A value as a message quotes it: its ``repr``, about ``limit`` characters of it at most.

    Containers are cut at every level, so that a huge or deep one costs no time either.
    """
    short = Repr()
    short.maxstring = short.maxother = short.maxlong = limit
    text = short.repr(value)
    return text if len(text) <= limit else _cut(text, limit)


def printable(text: str) -> str:
    """The text with what cannot be printed escaped: control codes, and bytes that are no UTF-8."""
    return text if text.isprintable() else "".join(map(escaped, text))


def _one_line(message: str) -> str:
    if len(message) > 100 * LONGEST:  # before it is looked at character by character
        message = _cut(message, 10 * LONGEST)
    return _cut(printable(re.sub(r"\s*[\r\n]+\s*", " ", message.strip())), LONGEST)


def _cut(text: str, limit: int) -> str:
    """The text without its middle, where it is longer than the limit."""
    if len(text) <= limit:
        return text
    tail = limit // 4  # the head names the file, the tail says what to do
    return f"{text[: limit - tail - 5]} ... {text[-tail:]}"


def escaped(character: str) -> str:
    """A character that cannot be printed as Python writes it, ``\\xe9``; others as they are."""
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()
