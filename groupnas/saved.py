"""Files that groupnas wrote, read back: plain values, of exactly the types that were written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from groupnas.errors import InputError, shown
from groupnas.files import parse_json, read_text
from groupnas.schema import validate

_DEEPEST = 50  # levels: what is written has a dozen
_MOST = 2_000_000  # values: YAML's references can stand for more than there is memory
_LARGEST = 2**63  # of whole numbers: what arrays hold


class Saved(BaseModel):
    """The base of saved mappings: no text for a number, no truth for a count.

    Further keys are let through: another version, or a strategy of its own, may say more.
    """

    model_config = ConfigDict(strict=True, extra="ignore")


def read_saved(
    path: str | os.PathLike[str],
    model: type[BaseModel],
    remedy: str = "",
    said: str = "is damaged",
) -> Any:
    """The object of a JSON file as it stands, once it was checked against a model.

    Args:
        path: The file.
        model: What it must hold.
        remedy: What to do where it is not that.
        said: What is said of it then.

    Raises:
        InputError: it cannot be read, or is not what is expected; names the keys at fault.
    """
    origin = os.fspath(path)
    text = read_text(path)
    try:
        data = _checked(text, origin, model, said)
    except InputError as error:
        raise InputError(f"{error}; {remedy}" if remedy else str(error)) from error
    return data


def read_records(path: str | os.PathLike[str], model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Return :func:`parse_records` of a file; raise :class:`InputError` where it is unreadable."""
    return parse_records(read_text(path), os.fspath(path), model)


def parse_records(text: str, origin: str, model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """The objects of a text that has one on every line, each as :func:`read_saved` checks it.

    Raises:
        InputError: at the first line that is damaged, with its number.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
        where = f"{origin}, line {number}"
        try:
            yield _checked(line, where, model, "is damaged, or of another kind of run")
        except InputError as error:  # the line of the line
            raise InputError(str(error).replace(f"{where}:1:", f"{where}:", 1)) from error


def _checked(text: str, origin: str, model: type[BaseModel], said: str) -> dict[str, Any]:
    data = parse_saved(text, origin)
    if not isinstance(data, dict):
        raise InputError(f"{origin}: {said}: expected an object, got {shown(data)}")
    validate(model, data, f"{origin}: {said}")
    return data


def parse_saved(text: str, origin: str) -> Any:
    """The value of a JSON text; raises :class:`InputError` as :func:`check_plain` does, too."""
    data = parse_json(text, origin)
    check_plain(data, origin)
    return data


def check_plain(data: Any, origin: str) -> None:
    """Raise :class:`InputError` where values of JSON or YAML are none that could be worked with.

    Those are texts that cannot be written or name a file (half a surrogate pair, a zero byte),
    whole numbers of more than 64 bits, and too many or too deeply nested values.
    """
    left: list[tuple[Any, int]] = [(data, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if seen > _MOST or depth > _DEEPEST:
            raise InputError(f"{origin}: holds too much to be read, or is nested too deeply")
        if isinstance(value, dict):
            left += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, (list, tuple)):
            left += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            if "\0" in value or not _is_text(value):
                raise InputError(f"{origin}: {shown(value)} is no text")
        elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise InputError(f"{origin}: a whole number is too large: {shown(value)}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
