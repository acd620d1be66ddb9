"""Annotations: tables, DeepLabCut's, COCO's and ``.pts`` files; each fault with file and line."""

from __future__ import annotations

import csv
import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.keypoints.coco import read_coco
from groupnas.landmarks.keypoints.entry import Entry
from groupnas.landmarks.keypoints.pts_files import pts_files, read_pts_files
from groupnas.landmarks.keypoints.settings import KeypointFile
from groupnas.landmarks.keypoints.table import read_table

NAMES = ["nose", "tail"]
numbers = st.none() | st.floats(-1000, 1000, allow_nan=False).map(lambda value: round(value, 3))
points = st.tuples(numbers, numbers).map(lambda pair: (None, None) if None in pair else pair)
objects = st.lists(st.tuples(points, points), min_size=1, max_size=5)


def settings(annotations: str, **changes: Any) -> KeypointFile:
    told = {"points": NAMES, "parts": {"all": NAMES}, **changes}
    return KeypointFile(format=1, title="two", annotations=annotations, **told)


def written(cells: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(cells)
    return text.getvalue()


def table(folder: Path, text: str, **changes: Any) -> list[Entry]:
    path = folder / "two.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path, settings("two.csv", **changes))


def expected(found: Any) -> np.ndarray:
    return np.array([[np.nan if n is None else n for n in pair] for pair in found], dtype=float)


# -- tables -----------------------------------------------------------------------------------


@given(found=objects)
def test_a_table_in_any_order_of_columns(
    found: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    header = ["tail_y", "who", "image", "nose_x", "tail_x", "nose_y", "ear_x"]
    cells = [
        [tail[1], f"w{row}", f"a/{row}.png", nose[0], tail[0], nose[1], 3]
        for row, (nose, tail) in enumerate(found)
    ]
    entries = table(tmp_path_factory.mktemp("csv"), written([header, *cells]))
    assert [entry.image for entry in entries] == [f"a/{row}.png" for row in range(len(found))]
    assert [entry.fields["who"] for entry in entries] == [f"w{row}" for row in range(len(found))]
    for entry, pairs in zip(entries, found, strict=True):
        np.testing.assert_array_equal(entry.points, expected(pairs))


@given(found=objects)
def test_deeplabcut_in_one_column_of_images_or_in_several(
    found: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("dlc")
    flat = [[n for pair in (pairs[1], (1, 2), pairs[0]) for n in pair] for pairs in found]
    heads = [["me"] * 6, ["tail", "tail", "ear", "ear", "nose", "nose"], ["x", "y"] * 3]
    firsts = ("scorer", "bodyparts", "coords")
    for images in (["labeled-data/v/1.png"], ["labeled-data", "v", "1.png"]):
        blank = [""] * (len(images) - 1)
        top = [[name, *blank, *head] for name, head in zip(firsts, heads, strict=True)]
        entries = table(folder, written([*top, *([*images, *row] for row in flat)]))
        assert {entry.image for entry in entries} == {"labeled-data/v/1.png"}
        for entry, pairs in zip(entries, found, strict=True):
            np.testing.assert_array_equal(entry.points, expected(pairs))


def test_columns_of_other_names_boxes_and_windows(tmp_path: Path) -> None:
    text = "file,x of nose,y of nose,x of tail,y of tail,l,t,r,b\na\\1.png,1,2,3,4,0,1,9,8\n"
    columns = {"image": "file", "x": "x of {point}", "y": "y of {point}", "box": list("ltrb")}
    (entry,) = table(tmp_path, text, columns=columns, box="listed")
    assert entry.image == "a/1.png" and entry.points.tolist() == [[1, 2], [3, 4]]
    assert entry.box is not None and entry.box.tolist() == [0, 1, 9, 8]
    assert entry.place == f"{tmp_path / 'two.csv'}:2"


HEAD = "image,nose_x,nose_y,tail_x,tail_y\n"
DLC = "scorer,a,a,a,a\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: empty; expected a header row"),
        ("image,nose_x,nose_y,tail_x\n", "1: no column 'tail_y'; did you mean 'tail_x'"),
        ("picture,nose_x,nose_y,tail_x,tail_y\n", "1: no column 'image'"),
        (f"nose_x,{HEAD}", "1: column 'nose_x' stands 2 times"),
        (f"{HEAD}a.png,1,2,3,4\n\nb.png,1,2,3\n", "4: expected 5 values, got 4"),
        (
            f"{HEAD}a.png,1,two,3,4\n",
            "2: nose_y: expected a number of pixels or nothing, got 'two'",
        ),
        (
            f"{HEAD}a.png,1,inf,3,4\n",
            "2: nose_y: expected a number of pixels or nothing, got 'inf'",
        ),
        (f"{HEAD}a.png,1,,3,4\n", "2: nose has one of x and y; expected both or none"),
        (f"{HEAD},1,2,3,4\n", "2: expected the path of an image"),
        (f"{HEAD}../a.png,1,2,3,4\n", r"2: expected the path of an image .* got '../a\.png'"),
        (f"{HEAD}/a.png,1,2,3,4\n", "2: expected the path of an image"),
        (f'{HEAD}"a.png,1,2,3,4\n' + "x" * 140_000, "is not CSV: field larger"),
        (DLC.replace("tail", "ear"), "2: no body part 'tail'; choose from: ear, nose"),
        (DLC.replace("tail", "nose"), "2: x of body part 'nose' stands twice"),
        (DLC.replace("coords", "x"), "1: expected DeepLabCut's header rows"),
        (DLC.replace("coords", "individuals,1,1,2,2\ncoords"), "3: holds several animals"),
        (f"{DLC}a.png,1,2,3\n", "4: expected 5 values, got 4"),
        (f"{DLC}a.png,1,2,3,x\n", "4: tail y: expected a number of pixels"),
    ],
)
def test_faults_of_tables(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"two\.csv:\d*:? ?.*{told}|two\.csv:{told}"):
        table(tmp_path, text)


def test_boxes_must_be_boxes(tmp_path: Path) -> None:
    columns = {"box": list("ltrb")}
    for box in ("9,1,0,8", ",,,"):
        text = f"{HEAD[:-1]},l,t,r,b\na.png,1,2,3,4,{box}\n"
        with pytest.raises(InputError, match=r"two\.csv:2: expected a box whose left is below"):
            table(tmp_path, text, columns=columns, box="listed")
        assert table(tmp_path, text, columns=columns)[0].box is None
    with pytest.raises(InputError, match="DeepLabCut's header rows.*leave out columns"):
        table(tmp_path, DLC, columns=columns)


# -- COCO -------------------------------------------------------------------------------------


def coco(found: Any) -> dict[str, Any]:
    """Objects of two to an image, with a point between that nobody asks for."""
    return {
        "images": [{"id": 7 * n, "file_name": f"{n}.jpg", "video": f"v{n}"} for n in range(5)],
        "categories": [
            {"id": 1, "name": "car"},
            {"id": 2, "name": "fish", "keypoints": ["tail", "fin", "nose"]},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]},
            *(
                {
                    "image_id": 7 * (number // 2),
                    "category_id": 2,
                    "bbox": [10, 20, 5, 6],
                    "keypoints": [*_triple(tail), 1, 1, 2, *_triple(nose)],
                }
                for number, (nose, tail) in enumerate(found)
            ),
        ],
    }


def _triple(pair: tuple[float | None, float | None]) -> list[float]:
    x, y = pair
    return [0, 0, 0] if x is None or y is None else [x, y, 2]


@given(found=objects)
def test_coco_has_several_objects_an_image(
    found: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("coco") / "two.json"
    path.write_text(json.dumps(coco(found)))
    entries = read_coco(path, settings("two.json", box="listed"))
    assert [entry.image for entry in entries] == [f"{n // 2}.jpg" for n in range(len(found))]
    for number, (entry, pairs) in enumerate(zip(entries, found, strict=True)):
        np.testing.assert_array_equal(entry.points, expected(pairs))
        assert entry.fields["video"] == f"v{number // 2}" and entry.fields["category_id"] == "2"
        assert entry.box is not None and entry.box.tolist() == [10, 20, 15, 26]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.pop("images"), "two.json: images: missing"),
        (
            lambda file: file["annotations"][1].update(image_id=1),
            "annotations.1.image_id: no image",
        ),
        (lambda file: file["annotations"][1].update(keypoints=[1]), "1.keypoints: expected 9 num"),
        (lambda file: file["annotations"][1].update(keypoints="x"), "annotations.1.keypoints"),
        (lambda file: file["annotations"][1].update(bbox=[1, 2]), "1.bbox: expected x, y, width"),
        (lambda file: file["annotations"][1].update(bbox=None), "1.bbox: expected x, y, width"),
        (lambda file: file["annotations"][1].update(bbox=[1, 2, 0, 3]), "1.bbox: expected a box"),
        (
            lambda file: file["images"][0].update(file_name="../a"),
            "images.0.file_name: expected the",
        ),
        (lambda file: file["images"][1].update(id=0), "images: an id stands twice"),
        (lambda file: file["categories"][1].update(keypoints=["a"]), "'fish': no keypoint 'nose'"),
        (
            lambda file: file["categories"][0].update(keypoints=["a"]),
            "categories: 2 have keypoints",
        ),
        (lambda file: file["categories"][1].update(keypoints=[]), "categories: 0 have keypoints"),
    ],
)
def test_faults_of_coco(change: Any, told: str, tmp_path: Path) -> None:
    file = coco([((1, 2), (3, 4))])
    change(file)
    path = tmp_path / "two.json"
    path.write_text(json.dumps(file))
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        read_coco(path, settings("two.json", box="listed"))


def test_the_category_may_be_named(tmp_path: Path) -> None:
    file = coco([((1, 2), (3, 4))])
    file["categories"][0]["keypoints"] = ["a"]
    path = tmp_path / "two.json"
    path.write_text(json.dumps(file))
    assert len(read_coco(path, settings("two.json", category="fish"))) == 1
    with pytest.raises(InputError, match="no 'fisch' with keypoints; did you mean 'fish'"):
        read_coco(path, settings("two.json", category="fisch"))
    path.write_text("{")
    with pytest.raises(InputError, match=r"two\.json:1: is not JSON"):
        read_coco(path, settings("two.json"))


# -- .pts -------------------------------------------------------------------------------------


def test_pts_files_find_their_images(tmp_path: Path) -> None:
    for place, image in (("a/1", "a/1.JPG"), ("b/c/2", "b/c/2.png"), ("b/3", None)):
        file = tmp_path / f"labels/{place}.pts"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1 2\n3 4\n")
        if image:
            (tmp_path / "photos" / image).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / image).touch()
    read = settings("labels/**/*.pts", points=2, parts={"all": [0, 1]})
    entries = read_pts_files(tmp_path, tmp_path / "photos", read)
    assert [entry.image for entry in entries] == ["a/1.JPG", "b/3.jpg", "b/c/2.png"]
    assert all(entry.points.tolist() == [[1, 2], [3, 4]] for entry in entries)
    assert pts_files(tmp_path, "labels/a/?.pts") == [tmp_path / "labels/a/1.pts"]
    with pytest.raises(InputError, match="no file fits this pattern"):
        pts_files(tmp_path, "labels/a/*.PTSX")
    (tmp_path / "labels/a/1.pts").write_text("1 2\n")
    with pytest.raises(InputError, match=r"a/1\.pts:1: expected 2 rows"):
        read_pts_files(tmp_path, tmp_path / "photos", read)


# -- damage -----------------------------------------------------------------------------------

ROWS = "".join(f"a/{row}.png,1.5,2,3,4\n" for row in range(20))


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("two.csv", HEAD + ROWS, read_table),
        ("two.csv", DLC + ROWS, read_table),
        ("two.json", json.dumps(coco([((1, 2), (3, 4))] * 9), indent=0), read_coco),
    ],
    ids=["table", "deeplabcut", "coco"],
)
def test_damaged_files_are_read_or_refused_in_a_line(
    name: str, content: str, read: Callable[..., list[Entry]], tmp_path: Path
) -> None:
    fuzz = runpy.run_path(str(ROOT / "benchmarks/fuzz_loaders.py"))["fuzz"]
    path = tmp_path / name
    path.write_text(content)
    assert len(read(path, settings(name))) in (9, 20)
    ends = list(fuzz(path, lambda copy: read(copy, settings(name)), 150, seed=0))
    assert [end for end in ends if end[2]] == []
    assert {end for _, end, _ in ends} == {"read", "refused"}
