"""Data files: what they mean, and each fault told with its key and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.landmarks.keypoints.settings import TAKEN, KeypointFile
from groupnas.schema import validate


def read(data: dict[str, Any], **changes: Any) -> KeypointFile:
    settings = {key: value for key, value in {**data, **changes}.items() if value is not None}
    return validate(KeypointFile, settings, "fish.yaml")


def test_the_markup_by_hand(fish_file: dict[str, Any]) -> None:
    markup = read(fish_file).markup("fish")
    assert (markup.name, markup.points, markup.whole) == ("fish", 6, "object")
    assert dict(markup.parts) == {"head": (0, 1, 2), "fins": (3, 4)} and markup.contour == (5,)
    assert markup.flip == (1, 0, 2, 4, 3, 5)
    assert markup.distance == (2, 5) and markup.names[2] == "mouth"
    assert markup.interocular is None and markup.interpupil is None and not markup.is_face


def test_what_is_left_out(fish_file: dict[str, Any]) -> None:
    bare = read(fish_file, mirror=None, normaliser=None, source=None, test=None)
    markup = bare.markup("fish")
    assert markup.flip is None and markup.distance is None and bare.normaliser == "box"
    assert read(fish_file, mirror=[], parts={"all": [*bare.names]}).markup("f").flip == (
        0, 1, 2, 3, 4, 5,
    )  # fmt: skip
    assert bare.origin == 0 and read(fish_file, first_pixel=1).origin == 1


def test_numbers_are_names(fish_file: dict[str, Any]) -> None:
    told = {"source": None, "test": None, "mirror": None, "annotations": "a/**/*.pts"}
    found = read(
        fish_file, points=5, parts={"one": [0, 1], "two": [2, 3]}, normaliser="box", **told
    )
    assert found.names == ("0", "1", "2", "3", "4") and found.markup("f").contour == (4,)
    assert found.layout == "pts" and found.origin == 1
    listed = read(fish_file, points=[7, 9], parts={"one": [9, 7]}, normaliser="box", mirror=None)
    assert listed.names == ("7", "9") and listed.markup("f").parts["one"] == (1, 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format: input should be 1"),
        ({"kind": "labels"}, "kind: input should be 'keypoints'"),
        ({"title": None}, "title: missing"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"points": 1}, "points: input should be greater than or equal to 2"),
        ({"points": ["a", "b", "a"]}, "points: a stands twice"),
        ({"points": ["a", True]}, "points: expected a number"),
        ({"parts": {}}, "parts: "),
        ({"parts": {"Head": ["mouth", "tail"]}}, r"parts\.Head"),
        ({"parts": {"head": ["mouth"]}}, r"parts\.head: expected two points at least"),
        (
            {"parts": {"head": ["mouth", "tial"]}},
            r"parts\.head: no point 'tial'; did you mean 'tail'",
        ),
        (
            {"parts": {"one": ["mouth", "tail"], "two": ["tail", "eye_l"]}},
            r"parts\.two: tail stands in one already",
        ),
        ({"mirror": [["eye_l", "tial"]]}, "mirror: no point 'tial'; did you mean 'tail'"),
        ({"mirror": [["eye_l", "eye_l"]]}, "mirror: eye_l stands twice"),
        ({"mirror": [["eye_l", "eye_r"], ["eye_r", "mouth"]]}, "mirror: eye_r stands twice"),
        (
            {"mirror": [["eye_l", "fin_l"]]},
            "mirror: the points of head become those of fins and head",
        ),
        ({"mirror": [["eye_l", "tail"]]}, "mirror: the points of head become .* contour and head"),
        ({"normaliser": ["mouth", "beak"]}, "normaliser: no point 'beak'"),
        ({"normaliser": ["mouth", "mouth"]}, "normaliser: expected two points, got the same twice"),
        ({"normaliser": "interocular"}, "normaliser: input should be 'box', 'box_longest' or"),
        ({"box": "listed"}, "box: listed: the annotations list no boxes; name their four columns"),
        ({"annotations": "fish.txt"}, r"annotations: expected a \.csv file"),
        ({"annotations": "fish.pts", "source": None, "test": None}, r"expected a pattern of \.pts"),
        ({"annotations": "*.pts"}, r"source\.column: \.pts files have no columns; give a pattern"),
        ({"annotations": "*.pts", "source": None}, r"test\.column: \.pts files have no columns"),
        ({"annotations": "fish.json", "columns": {}}, "columns: is of CSV files; leave it out"),
        ({"category": "fish"}, "category: is of COCO files; leave it out"),
        ({"columns": {"x": "x"}}, r"columns\.x: string should match pattern"),
        ({"source": {}}, r"source\.column: expected either column or image"),
        (
            {"source": {"column": "a", "image": "(b)"}},
            r"source\.column: expected either column or image",
        ),
        ({"source": {"image": "a(b"}}, r"source\.image: is no regular expression: .* character 2"),
        ({"source": {"image": "ab"}}, r"source\.image: expected one group"),
        ({"source": {"image": "(a)(b)"}}, r"source\.image: expected one group"),
        ({"test": {"column": "set"}}, r"test\.column: expected either column and value, or source"),
        ({"test": {"source": "*"}}, r"test\.source: is no regular expression"),
        ({"first_pixel": 2}, "first_pixel: "),
    ],
)
def test_faults(changes: dict[str, Any], told: str, fish_file: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"^fish\.yaml: .*{told}"):
        read(fish_file, **changes)


@pytest.mark.parametrize("name", [*TAKEN, "contour1"])
def test_names_that_parts_cannot_have(name: str, fish_file: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"parts\.{name}: means something else"):
        read(fish_file, parts={name: ["mouth", "tail"]}, mirror=None)
