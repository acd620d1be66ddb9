"""Markups in model cards: what ships by its points alone, all else in full, and back again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.markup import (
    MARKUPS,
    Boundary,
    Markup,
    check_same_points,
    is_shipped,
)
from groupnas.landmarks.markup_record import card_markup, markup_from, markup_record


@st.composite
def markups(draw: st.DrawFn) -> Markup:
    """Points dealt to parts and a contour, some with names, mirror images, ends and a curve."""
    points = draw(st.integers(2, 12))
    order = draw(st.permutations(range(points)))
    first, second = sorted(draw(st.tuples(st.integers(1, points), st.integers(1, points))))
    parts = {"head": tuple(order[:first]), "legs": tuple(order[first:second])}
    swapped = dict(zip(order[::2], order[1::2], strict=False))
    swapped |= {other: one for one, other in swapped.items()}
    return Markup(
        "drawn",
        points,
        parts={name: part for name, part in parts.items() if part},
        contour=tuple(order[second:]),
        flip=draw(st.sampled_from([None, tuple(swapped.get(i, i) for i in range(points))])),
        interocular=None,
        interpupil=None,
        boundaries=draw(st.sampled_from([(), (Boundary(tuple(order[:2]), closed=True),)])),
        distance=draw(st.sampled_from([None, (order[0], order[1])])),
        names=draw(st.sampled_from([(), tuple(f"p{i}" for i in range(points))])),
        whole="object",
    )


@given(markups())
def test_what_is_recorded_comes_back(markup: Markup) -> None:
    record = json.loads(json.dumps(markup_record(markup)))
    assert markup_from(record) == markup
    assert card_markup({"points": markup.points, "markup": record}) == markup
    assert not is_shipped(markup)


@pytest.mark.parametrize("markup", MARKUPS.values(), ids=lambda markup: markup.name)
def test_what_ships_is_known_by_its_points(markup: Markup) -> None:
    assert is_shipped(markup) and card_markup({"points": markup.points}) is markup
    assert markup_from(json.loads(json.dumps(markup_record(markup)))) == markup
    assert not is_shipped(replace(markup, name="other"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points": "68"}, "points: expected int"),
        ({"points": 2**70}, "parts: with the contour, expected each of"),
        ({"points": 69}, "parts: with the contour, expected each of 69 points once"),
        ({"parts": {"all": [*range(68)], "none": []}, "contour": []}, "parts: with the contour"),
        ({"parts": [1]}, "parts: expected a mapping"),
        ({"contour": None}, "contour: expected a list"),
        ({"contour": [0.5]}, "contour: expected numbers of points"),
        ({"flip": [*range(1, 68), 0]}, "flip: expected every point once"),
        ({"flip": [0] * 68}, "flip: expected every point once"),
        ({"interocular": [36]}, "interocular: expected two points"),
        ({"distance": [0, 68]}, "distance: expected points below 68"),
        ({"interpupil": [[1], [2], [3]]}, "interpupil: expected two lists"),
        ({"names": ["a"] * 68}, "names: expected 68, each once"),
        ({"names": [1] * 68}, "names: expected texts"),
        ({"boundaries": [{"points": [1, 2]}]}, "boundaries: expected points and closed"),
        ({"boundaries": [{"points": [1], "closed": True}]}, "boundaries: expected two points"),
        ({"boundaries": [{"points": [-1, 2], "closed": True}]}, "boundaries: expected points"),
        ({"rigid": {"nose_tip": 30}}, "rigid: expected all or none of"),
        ({"rigid": {"nose_tip": True}}, "rigid: expected numbers of points"),
        ({"colour": "red"}, "expected a mapping with the keys boundaries, contour"),
    ],
)
def test_damage_is_told_with_its_key(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        markup_from({**markup_record(MARKUPS[68]), **changes})


def test_points_that_no_markup_has() -> None:
    for card in ({"points": 67}, {"points": "68"}, {}):
        with pytest.raises(ValueError, match="no markup has .* points; expected one of 19, 29"):
            card_markup(card)


def test_points_are_the_same_if_their_names_are() -> None:
    named = replace(MARKUPS[68], names=tuple(f"p{number}" for number in range(68)))
    check_same_points("a", named, replace(named, name="other"))
    swapped = replace(named, names=("p1", "p0", *named.names[2:]))
    with pytest.raises(InputError, match=r"number 0 is p0, of the model p1; take data"):
        check_same_points("a", named, swapped)
    with pytest.raises(InputError, match=r"number 0 is p0, of the model 0; take data"):
        check_same_points("a", named, MARKUPS[68])
    with pytest.raises(InputError, match=r"a has 68 landmarks, the model finds 29"):
        check_same_points("a", named, MARKUPS[29])
