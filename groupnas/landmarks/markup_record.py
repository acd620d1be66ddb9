"""A markup as a model's card records it, read and written with plain Python alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from groupnas.errors import shown
from groupnas.landmarks.markup import Boundary, Markup, shipped_markup

_INDICES = ("contour", "flip", "interocular", "distance")  # lists of points, or null


def markup_record(markup: Markup) -> dict[str, Any]:
    """The markup in full, as JSON can hold it."""
    told = {one.name: getattr(markup, one.name) for one in fields(markup)}
    curves = [asdict(curve) for curve in markup.boundaries]
    return {**told, "parts": dict(markup.parts), "rigid": dict(markup.rigid), "boundaries": curves}


def card_markup(card: Mapping[str, Any]) -> Markup:
    """The markup of a model's card as JSON has it: in full, or one that ships by its points.

    Raises:
        ValueError: it has none, or one that is damaged.
    """
    if card.get("markup") is None:
        points = card.get("points")
        return shipped_markup(points if type(points) is int else 0)
    return markup_from(card["markup"])


def markup_from(record: Any) -> Markup:
    """The markup that :func:`markup_record` recorded.

    Raises:
        ValueError: it is damaged; names the key.
    """
    expected = {one.name for one in fields(Markup)}
    if not isinstance(record, Mapping) or {*record} != expected:
        raise ValueError(f"expected a mapping with the keys {', '.join(sorted(expected))}")
    told: dict[str, Any] = dict(record)
    for key, kind in (("name", str), ("whole", str), ("points", int)):
        if type(told[key]) is not kind:
            raise ValueError(f"{key}: expected {kind.__name__}, got {shown(told[key])}")
    for key in _INDICES:
        told[key] = None if told[key] is None else _indices(key, told[key])
    for key in ("interocular", "distance"):
        if told[key] is not None and len(told[key]) != 2:
            raise ValueError(f"{key}: expected two points, got {shown(record[key])}")
    if told["contour"] is None:
        raise ValueError("contour: expected a list of points, got None")
    parts = _mapping("parts", told["parts"])
    told["parts"] = {name: _indices(f"parts.{name}", part) for name, part in parts.items()}
    rigid = _mapping("rigid", told["rigid"])
    told["rigid"] = dict(zip(rigid, _indices("rigid", [*rigid.values()]), strict=True))
    if told["interpupil"] is not None:
        eyes = _listed("interpupil", told["interpupil"])
        if len(eyes) != 2:
            raise ValueError(f"interpupil: expected two lists of points, got {shown(eyes)}")
        told["interpupil"] = tuple(_indices("interpupil", eye) for eye in eyes)
    told["names"] = tuple(_listed("names", told["names"]))
    if not all(isinstance(name, str) for name in told["names"]):
        raise ValueError(f"names: expected texts, got {shown(record['names'])}")
    told["boundaries"] = tuple(map(_boundary, _listed("boundaries", told["boundaries"])))
    return Markup(**told)


def _boundary(record: Any) -> Boundary:
    curve = _mapping("boundaries", record)
    if {*curve} != {"points", "closed"} or type(curve["closed"]) is not bool:
        raise ValueError(f"boundaries: expected points and closed, got {shown(record)}")
    points = _indices("boundaries", curve["points"])
    if len(points) < 2:
        raise ValueError(f"boundaries: expected two points or more, got {shown(record)}")
    return Boundary(points, curve["closed"])


def _indices(key: str, value: Any) -> tuple[int, ...]:
    found = tuple(_listed(key, value))
    if not all(type(point) is int for point in found):
        raise ValueError(f"{key}: expected numbers of points, got {shown(value)}")
    return found


def _listed(key: str, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{key}: expected a list, got {shown(value)}")
    return [*value]


def _mapping(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{key}: expected a mapping, got {shown(value)}")
    return value
