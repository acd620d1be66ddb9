"""Nested Python values with something wrong in them: other types, sizes, keys, at any depth."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Draw = random.Random
Place = tuple[Any, Any]  # a container, and the key of one of its values


def mutated(value: Any, draw: Draw) -> Any:
    """A copy with one change, or a few."""
    holder = [copy.deepcopy(value)]
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        container, key = _place(holder, draw)
        container[key] = _changed(container[key], draw)
    return holder[0]


def _place(holder: list[Any], draw: Draw) -> Place:
    """Any value, those far up as often as the many far down."""
    place: Place = (holder, 0)
    while True:
        container, key = place
        value = container[key]
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys or draw.random() < 0.2:
            return place
        inner = value, draw.choice(list(keys))
        if not isinstance(inner[0][inner[1]], (dict, list)):
            return inner
        place = inner


def _changed(value: Any, draw: Draw) -> Any:
    changes: list[Callable[[Any, Draw], Any]] = [_other_type]
    for kind, change in _CHANGES:
        if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
            changes += [change, change]
    return draw.choice(changes)(value, draw)


def _other_type(value: Any, draw: Draw) -> Any:
    nested: Any = value
    for _ in range(draw.choice((1, 60, 400))):
        nested = [nested]
    single = draw.choice((0, 1, -1, 7, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -1e308, 1e308))
    special = draw.choice((None, True, False, float("nan"), float("inf"), -float("inf"), -0.0))
    text = draw.choice(("", "x", "x" * 5000, "\ud800", "\0", "\n", "../x", "/dev/zero", "nan", "é"))
    full: Any
    full = draw.choice(([], {}, [[]], [1, 2], ["a"], {"a": 1}, {"": {}}, [None], [value, value]))
    return draw.choice((single, special, text, full, nested, {"value": value}, [value]))


def _dict(value: dict[Any, Any], draw: Draw) -> Any:
    keys = list(value)
    if not keys or draw.random() < 0.2:
        return {**value, draw.choice(("more", "", "\ud800", "x" * 3000, "__class__")): 1}
    key = draw.choice(keys)
    kind = draw.choice(("drop", "rename", "list", "swap", "clear", "none", "keys"))
    if kind == "drop":
        return {k: v for k, v in value.items() if k != key}
    if kind == "rename":
        return {(f"{k}x" if k == key else k): v for k, v in value.items()}
    if kind == "list":
        return list(value.values())
    if kind == "swap":
        return {**value, key: value[draw.choice(keys)]}
    if kind == "keys":
        return {(1 if k == key else k): v for k, v in value.items()}
    return {} if kind == "clear" else {**value, key: None}


def _list(value: list[Any], draw: Draw) -> Any:
    if not value:
        return [0]
    at = draw.randrange(len(value))
    kind = draw.choice(("drop", "double", "reverse", "dict", "nest", "long", "cut"))
    if kind == "drop":
        return value[:at] + value[at + 1 :]
    if kind == "double":
        return [*value, copy.deepcopy(value[at])]
    if kind == "reverse":
        return value[::-1]
    if kind == "dict":
        return {str(index): item for index, item in enumerate(value)}
    if kind == "nest":
        return [value]
    return value * 50 if kind == "long" else value[:at]


def _number(value: float, draw: Draw) -> Any:
    return draw.choice(
        (-value, value + 1, value - 1, value * 10**9, str(value), float(value), bool(value), 0)
    )


def _text(value: str, draw: Draw) -> Any:
    return draw.choice((value + "x", value[:1], value.upper(), value * 500, 3, [value], None))


def _tensor(value: torch.Tensor, draw: Draw) -> Any:
    kinds: tuple[Callable[[torch.Tensor], Any], ...] = (
        lambda t: t.double(),
        lambda t: t.half(),
        lambda t: t.long(),
        lambda t: t.bool(),
        lambda t: torch.full_like(t.float(), float("nan")),
        lambda t: torch.full_like(t, 3),
        lambda t: t.flatten()[:-1].clone(),
        lambda t: t[None].clone(),
        lambda t: t.flatten().clone(),
        lambda t: torch.zeros(()),
        lambda t: torch.zeros(0),
        lambda t: torch.zeros(1).expand(10**9),
        lambda t: torch.zeros(2, 2).to_sparse(),
        lambda t: t.tolist(),
        lambda t: -t if t.dtype != torch.bool else ~t,
    )
    return draw.choice(kinds)(value)


def _array(value: np.ndarray[Any, Any], draw: Draw) -> Any:
    kinds: tuple[Callable[[np.ndarray[Any, Any]], Any], ...] = (
        lambda a: a.astype("U20"),
        lambda a: np.zeros(a.shape, "float32"),
        lambda a: np.zeros(a.shape, "float64"),
        lambda a: np.full(a.shape, np.nan),
        lambda a: np.full(a.shape, np.inf),
        lambda a: np.zeros(a.shape, "int64"),
        lambda a: np.zeros(a.shape, "complex128"),
        lambda a: np.zeros(a.shape, "datetime64[s]"),
        lambda a: np.zeros(a.shape, [("a", "f8")]),
        lambda a: a.ravel()[:-1],
        lambda a: a[None],
        lambda a: np.zeros(0),
        lambda a: np.zeros(()),
        lambda a: np.array("\ud800x"),
        lambda a: np.array('{"format": 1}'),
    )
    return draw.choice(kinds)(value)


_CHANGES: tuple[tuple[Any, Callable[[Any, Draw], Any]], ...] = (
    (dict, _dict),
    (list, _list),
    ((int, float), _number),
    (str, _text),
    (torch.Tensor, _tensor),
    (np.ndarray, _array),
)


def damaged_text(text: str, draw: Draw) -> bytes:
    """A text as another editor, another program or half a disk would leave it."""
    content = text.encode()
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.decode().encode("utf-16"),
        lambda: content.replace(b"1", b"NaN"),
        lambda: content.replace(b"0", b"9" * 6000, 1),
        lambda: content.replace(b"{", b'{"epoch": 1, "epoch": 2, ', 1),
        lambda: content.replace(b":", b": " + b"[" * 100_000, 1),
        lambda: content.replace(b'"', b'"\\ud800', 3),
        lambda: content.replace(b"e", b"\0"),
        lambda: content + content,
        lambda: b"",
        lambda: b" \n",
        lambda: b"null",
        lambda: content[: draw.randrange(len(content) or 1)],
        lambda: b"\x1f\x8b" + content,
        lambda: content.replace(b", ", b",\xe2\x80\xa8 ", 5),
    )
    return draw.choice(kinds)()
