"""Values that callers give: made what they are, or refused by the name of the argument.

Numbers come from loops over arrays, from spreadsheets and from other frameworks. What a run records
and resumes by are plain Python values, so that each is made one where it comes in, before the first
file is written. No torch.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from groupnas.errors import InputError, shown

LARGEST_SEED = 2**63 - 1  # what generators of torch and numpy, and every YAML reader, take
MOST = 100_000  # entries of a list; what never ends is found by it


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number: an int, or a scalar of numpy or torch that counts.

    Args:
        name: Of the argument, for the message.
        value: Anything. Booleans and floats are refused: they are mistakes more often than counts.
        least: The least that is allowed.
        most: The greatest.

    Raises:
        InputError: it is not one, or out of the range.
    """
    found = as_whole(value)
    if found is None or least is not None and found < least or most is not None and found > most:
        end = "on" if most is None else f"to {'2**63 - 1' if most == LARGEST_SEED else most}"
        limits = "" if least is None else f" from {least} {end}"
        raise InputError(f"{name}: expected a whole number{limits}, got {shown(value)}")
    return found


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> float:
    """A finite number: an int, a float, or a scalar of numpy or torch.

    Args:
        name: Of the argument, for the message.
        value: Anything; booleans and text are refused.
        above: What it must be greater than.
        below: What it must be less than.
        most: The greatest that is allowed.

    Raises:
        InputError: it is not one, or out of the range.
    """
    found = as_number(value)
    if (
        found is None
        or (above is not None and found <= above)
        or (below is not None and found >= below)
        or (most is not None and found > most)
    ):
        limits = {"above": above, "below": below, "up to": most}
        told = [f" {word} {limit:g}" for word, limit in limits.items() if limit is not None]
        raise InputError(f"{name}: expected a number{' and'.join(told)}, got {shown(value)}")
    return found


def seed(name: str, value: Any) -> int:
    """A seed: a whole number from 0 to :data:`LARGEST_SEED`; raises as :func:`whole`."""
    return whole(name, value, 0, LARGEST_SEED)


def flag(name: str, value: Any) -> bool:
    """True or False, numpy's too; an :class:`InputError` for all else, ``"no"`` among it."""
    if not _is_bool(value):
        raise InputError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def listed(name: str, values: Any) -> tuple[Any, ...]:
    """The entries of a list, a tuple, an array, a generator: what has an order.

    Raises:
        InputError: a single text, which is no list of its letters; a set or a mapping; what cannot
            be gone through, or does not end.
    """
    if isinstance(values, (str, bytes)):
        raise InputError(f"{name}: expected a list, got {shown(values)}; write [{values!r}]")
    if isinstance(values, (set, frozenset)):
        raise InputError(f"{name}: expected a list, since order counts; got a set")
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{name}: expected a list, got {shown(values)}")
    try:
        found = tuple(islice(values, MOST + 1))
    except TypeError as error:  # an array without a dimension says that it can be iterated over
        raise InputError(f"{name}: expected a list, got {shown(values)}") from error
    if len(found) > MOST:
        raise InputError(f"{name}: expected at most {MOST:,} entries")
    return found


def names(name: str, values: Any) -> tuple[str, ...]:
    """The texts of a list; raises as :func:`listed`, and where one is no text."""
    found = listed(name, values)
    for value in found:
        text(name, value)
    return tuple(map(str, found))


def text(name: str, value: Any) -> str:
    """A text; an :class:`InputError` for all else, and for a zero byte, which no file takes."""
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"{name}: expected a text, got {shown(value)}")
    return str(value)  # numpy's texts are of a class that YAML does not know


def instance(name: str, value: Any, of: type) -> None:
    """Raise :class:`InputError` unless the value is one of a class."""
    if not isinstance(value, of):
        expected = f"{'an' if of.__name__[0] in 'AEIOU' else 'a'} {of.__name__}"
        raise InputError(f"{name}: expected {expected}, got a {type(value).__name__}")


def path(name: str, value: Any) -> str:
    """A path or the name of a file, as text or bytes or a ``Path``.

    Raises:
        InputError: it is none, is empty, or holds a zero byte.
    """
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise InputError(f"{name}: expected a name or a path, got {shown(value)}")
    found = os.fsdecode(value)
    if not found or "\0" in found:
        raise InputError(f"{name}: expected a name or a path, got {shown(found)}")
    return str(found)


def plain(name: str, value: Any) -> Any:
    """Return it as YAML and JSON can hold it: mappings, lists, texts, numbers, booleans, ``None``.

    Scalars of numpy and torch become Python's, paths become texts.

    Raises:
        InputError: something else is in it; named by its place.
    """
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        return str(value)
    if _is_bool(value):
        return bool(value)
    if isinstance(value, float) or as_whole(value) is None and as_number(value) is not None:
        return float(value)
    if (found := as_whole(value)) is not None:
        return found
    if isinstance(value, Mapping):
        return {text(name, key): plain(f"{name}.{key}", entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(f"{name}.{index}", entry) for index, entry in enumerate(value)]
    raise InputError(f"{name}: expected numbers, texts, lists and mappings; got {shown(value)}")


def as_whole(value: Any) -> int | None:
    """The value as a whole number; ``None`` where it is not one."""
    if _is_bool(value) or getattr(value, "shape", ()) != ():
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def as_number(value: Any) -> float | None:
    """The value as a finite number; ``None`` where it is not one."""
    if _is_bool(value) or getattr(value, "shape", ()) != () or isinstance(value, (str, bytes)):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the latter: a complex tensor
        return None
    return found if math.isfinite(found) else None


def _is_bool(value: Any) -> bool:
    """Return whether it is a boolean of Python, numpy or torch; arrays of one entry count, too."""
    kind = str(getattr(value, "dtype", ""))
    return isinstance(value, bool) or (
        kind in ("bool", "torch.bool") and getattr(value, "shape", None) == ()
    )
