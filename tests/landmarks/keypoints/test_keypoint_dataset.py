"""A data file as a data set: splits by source, lacking points, missing images."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.keypoints.dataset import read_keypoints
from groupnas.landmarks.load import load_faces
from groupnas.tasks import find_dataset, load_task

Write = Callable[..., Path]


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as exit:
        main([*map(str, arguments)])
    return int(exit.value.code or 0)


def test_faces_are_the_rows(write_fish: Write, fish_points: Callable[[int], np.ndarray]) -> None:
    file = write_fish()
    data = face_set(str(file))
    assert (data.name, data.normaliser, data.box) == ("fish", "distance", "landmarks")
    assert dict(data.subsets) == {"train": (), "test": ()}
    train, test = (load_faces(data, None, split) for split in ("train", "test"))
    assert [face.source for face in test] == ["fish3"] * 3 and len(train) == 9
    assert {face.source for face in train} == {"fish0", "fish1", "fish2"}
    for face in (*train, *test):
        assert face.name == f"{face.path.parent.name}/{face.path.name}"
        number = int(face.path.stem.removeprefix("photo"))
        np.testing.assert_allclose(face.points, fish_points(number), atol=1e-4)
        assert data.read(face).shape == (72, 72, 3)


def test_sources_and_tests_by_patterns(write_fish: Write) -> None:
    file = write_fish(source={"image": r"^(\d)/"}, test={"source": "[12]"}, normaliser="box_width")
    data = face_set(str(file))
    test = load_faces(data, None, "test")
    assert {face.source for face in test} == {"1", "2"} and data.normaliser == "box_width"
    alone = face_set(str(write_fish(source=None, test=None)))
    faces = load_faces(alone, None)
    assert len({face.source for face in faces}) == len(faces) == 12
    with pytest.raises(InputError, match="fish has no split 'test'; choose from: train"):
        load_faces(alone, None, "test")


def test_coordinates_may_count_from_one(write_fish: Write) -> None:
    plain = load_faces(face_set(str(write_fish())), None)
    shifted = load_faces(face_set(str(write_fish(first_pixel=1))), None)
    np.testing.assert_array_equal(shifted[0].points, plain[0].points - 1)


def test_objects_that_lack_a_point_are_told_once(
    write_fish: Write, fish_rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    for row, point in ((0, "tail"), (4, "eye_l"), (3, "mouth")):
        fish_rows[row] |= {f"{point}_x": "", f"{point}_y": "NaN"}
    data = face_set(str(write_fish(fish_rows)))
    with caplog.at_level(logging.WARNING, "groupnas"):
        assert len(load_faces(data, None)) == len(load_faces(data, None)) == 7
        assert len(load_faces(data, None, "test")) == 2
    told = [record.getMessage().partition(" (")[2] for record in caplog.records]
    assert told == [
        "train): 2 objects lack a point: left out, of 9",
        "test): 1 object lacks a point: left out, of 3",
    ]


def test_two_objects_of_an_image_have_two_names(
    write_fish: Write, fish_rows: list[dict[str, Any]]
) -> None:
    fish_rows[4]["image"] = fish_rows[0]["image"]
    names = [face.name for face in load_faces(face_set(str(write_fish(fish_rows))), None)]
    assert names[0] == "0/photo00.png" and names[3] == "0/photo00.png#2"


def test_listed_boxes(write_fish: Write, fish_rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(fish_rows):
        row |= dict(zip("ltrb", (number, 2, 70, 71), strict=True))
    data = face_set(str(write_fish(fish_rows, box="listed", columns={"box": [*"ltrb"]})))
    assert data.box == "listed"
    box = load_faces(data, None, "test")[0].box
    assert box is not None and box.tolist() == [3, 2, 70, 71]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source": {"column": "who"}}, r"source\.column: .*fish\.csv:2: no column 'who'"),
        ({"source": {"image": "([x-z])"}}, r"source\.image: is not found in '0/photo00\.png'"),
        ({"test": {"column": "st", "value": "a"}}, r"test\.column: .*'st'; did you mean 'set'"),
        ({"test": {"column": "set", "value": "a"}}, "the split 'test' has no objects"),
        ({"test": {"source": "fish"}}, "the split 'train' has no objects"),
        ({"source": {"column": "set"}, "test": {"column": "fish", "value": "fish0"}},
         "test: 'train' is a source of the training and of the test split"),
        ({"annotations": "none.csv"}, r"none\.csv: cannot be read: No such file"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_annotations(
    changes: dict[str, Any], told: str, write_fish: Write
) -> None:
    data = face_set(str(write_fish(**changes)))
    with pytest.raises(InputError, match=told):
        load_faces(data, None)


def test_an_empty_source_is_none(write_fish: Write, fish_rows: list[dict[str, Any]]) -> None:
    fish_rows[2]["fish"] = " "
    with pytest.raises(InputError, match=r"fish\.csv:4: the source is empty"):
        load_faces(face_set(str(write_fish(fish_rows))), None)


def test_missing_images_need_leave(write_fish: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_fish()
    gone = file.parent / "photos/1/photo05.png"
    gone.unlink()
    data = face_set(str(file))
    with pytest.raises(InputError, match=r"\(train\): 1 image missing: .*photo05\.png; --allow-p"):
        load_faces(data, None)
    assert len(load_faces(data, None, allow_partial=True)) == 8
    assert run("data", "check", "--data", file) == 2
    page, error = capsys.readouterr()
    assert "8 of      9  incomplete  1 image missing" in page and "photo05.png" in error
    assert run("data", "check", "--data", file, "--allow-partial") == 0


def test_check_and_preview(write_fish: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_fish()
    assert run("data", "check", "--data", file, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["split"], one["found"]) for one in told["subsets"]] == [("train", 9), ("test", 3)]
    assert told["damaged"] == [] and told["incomplete"] is None
    sheet = file.parent / "sheet.png"
    assert run("data", "preview", "--data", file, "-o", sheet) == 0
    assert sheet.stat().st_size > 10_000
    (file.parent / "photos/2/photo06.png").write_bytes(b"no image")
    assert run("data", "check", "--data", file) == 2
    assert "1 damaged" in capsys.readouterr().err


def test_a_part_on_one_spot_is_found_by_the_check(
    write_fish: Write, fish_rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    fish_rows[0] |= {"fin_l_x": 30, "fin_l_y": 30, "fin_r_x": 30, "fin_r_y": 30}
    file = write_fish(fish_rows)
    assert run("data", "check", "--data", file) == 2
    assert "the points of fins lie within one pixel" in capsys.readouterr().err


def test_its_parts_are_a_task(write_fish: Write) -> None:
    task = load_task(str(write_fish()), crops={"size": 16})
    x, target = task.batch(torch.arange(9), torch.Generator().manual_seed(0))
    assert x.shape == (9, 2, 16, 16) and target.points.shape == (9, 10)
    assert dict(task.outputs) == {"head": 6, "fins": 4}
    assert task.augmentation.flip == 0.5  # type: ignore[attr-defined]
    unmirrored = load_task(str(write_fish(mirror=None)), crops={"size": 16})
    assert unmirrored.augmentation.flip == 0  # type: ignore[attr-defined]


def test_mirrored_crops_show_the_mirrored_points(write_fish: Write) -> None:
    """A mirrored fish's left eye is where its right eye was: names stay left and right."""
    task = load_task(str(write_fish()), crops={"size": 16})
    changes = {"scale": (1.0, 1.0), "rotation": 0.0, "translation": 0.0}
    task.augmentation = type(task.augmentation)(flip=1.0, **changes)  # type: ignore[attr-defined]
    plain = task.batch(torch.arange(9))[1].points.unflatten(1, (-1, 2))
    turned = task.batch(torch.arange(9), torch.Generator())[1].points.unflatten(1, (-1, 2))
    torch.testing.assert_close(turned[:, [1, 0, 2, 4, 3]] * torch.tensor([-1.0, 1.0]), plain)


def test_which_files_are_data_files(write_fish: Write, tmp_path: Path) -> None:
    file = write_fish()
    assert find_dataset(str(file)).name == face_set(str(file)).name == "fish"
    with pytest.raises(InputError, match="no_file.yaml: cannot be read"):
        find_dataset("no_file.yaml")
    other = tmp_path / "other.yml"
    other.write_text("[1]")
    with pytest.raises(InputError, match=r"other\.yml: expected a mapping of settings"):
        find_dataset(str(other))
    other.write_text("kind: labels")
    with pytest.raises(InputError, match=r"other\.yml: unknown kind of data file 'labels'"):
        find_dataset(str(other))
    other.write_text("kind: 3")
    with pytest.raises(InputError, match=r"other\.yml: kind: expected a text, got 3"):
        find_dataset(str(other))
    other.write_text("format: 1\nformat: 1")
    with pytest.raises(InputError, match=r"other\.yml:2: is not YAML: key 'format' stands twice"):
        find_dataset(str(other))
    with pytest.raises(InputError, match=r"fish\.yaml: annotations: expected"):
        read_keypoints(file, {**yaml.safe_load(file.read_text()), "annotations": "fish.xls"})
    with pytest.raises(InputError, match="nothing"):
        find_dataset(f"{file}:nothing")
