"""Evaluation of a cascade that errs as it is told, on drawn faces."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data.face import BoxPolicy, Face, FaceSet
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.evaluation import (
    Evaluation,
    evaluate,
    evaluate_faces,
    how,
    pose_rows,
    rows,
)
from groupnas.landmarks.located import FacePair, Located
from groupnas.landmarks.markup import MARKUPS, Markup

COUNT, EYES = 4, (36, 45)


def truth(index: int) -> np.ndarray:
    return draw_face(index)[1]


def face_of(index: int) -> Face:
    return Face(
        name=f"drawn/{index}",
        source=f"drawn/{index}",
        path=Path("drawn"),
        points=truth(index),
        box=np.array([index, 0.0, 100.0 + index, 25.0]),
        subsets=frozenset({"even"} if index % 2 == 0 else {"odd"}),
        index=index,
    )


def read(face: Face) -> np.ndarray:
    assert face.index is not None
    return np.repeat(draw_face(face.index)[0][..., None], 3, axis=-1)


FACES = FaceSet(
    name="drawn",
    markup=MARKUPS[68],
    box="landmarks",
    normaliser="interocular",
    subsets={"train": (), "test": ("even", "odd", "none")},
    faces=lambda root, split, partial: [face_of(index) for index in range(COUNT)],
    files=lambda root, split, partial: [],
    read=read,
)


@dataclass
class Fake:
    """The truth of the faces in turn, shifted to the right by a share of the eyes' distance."""

    initial: tuple[float, ...] = (0.04, 0.04, 0.2, 0.04)
    final: tuple[float, ...] = (0.02, 0.02, 0.12, 0.02)
    box: BoxPolicy = "landmarks"
    markup: Markup = MARKUPS[68]

    def locate_many(self, faces: Iterable[FacePair], batch: int = 32) -> Located:
        self.given = list(faces)
        shares = {"global": self.initial, "local": self.final}
        return Located({stage: self._shifted(share) for stage, share in shares.items()})

    def _shifted(self, shares: tuple[float, ...]) -> np.ndarray:
        shapes = np.stack([truth(index) for index in range(len(self.given))])
        eyes = np.linalg.norm(shapes[:, EYES[1]] - shapes[:, EYES[0]], axis=1)
        shift = np.array(shares) * eyes
        return shapes + shift[:, None, None] * [1.0, 0.0]


@pytest.fixture
def found() -> Evaluation:
    return evaluate(Fake(), FACES, None)


def test_scores_by_subset_and_stage(found: Evaluation) -> None:
    assert list(found.scores) == ["full", "even", "odd"]  # no face is in "none"
    full = found.scores["full"]
    assert list(full) == ["global", "cascade"]
    assert (full["global"].nme, full["cascade"].nme) == pytest.approx((8, 4.5))
    assert full["cascade"].failure_rate == pytest.approx(25)
    assert found.scores["even"]["cascade"].nme == pytest.approx(7)
    assert found.scores["odd"]["cascade"].nme == pytest.approx(2)
    assert found.scores["odd"]["cascade"].faces == 2
    assert full["cascade"].parts["contour"] == pytest.approx(4.5)
    assert found.ranked()[0] == 2


def test_the_cascade_gets_each_image_with_its_box_by_its_own_policy() -> None:
    cascade = Fake()
    evaluate(cascade, FACES, None)
    assert len(cascade.given) == COUNT
    for index, (image, box) in enumerate(cascade.given):
        points = truth(index)
        assert image.shape == (160, 160, 3) and image.dtype == np.uint8
        assert box == pytest.approx([*points.min(axis=0), *points.max(axis=0)])
    listed = Fake(box="listed")
    assert evaluate(listed, FACES, None).box == "listed"
    assert [box.tolist() for _, box in listed.given] == [[i, 0, 100 + i, 25] for i in range(COUNT)]
    bare = replace(FACES, faces=lambda *_: [replace(face_of(0), box=None)])
    with pytest.raises(InputError, match=r"\(drawn/0\): drawn lists no box"):
        evaluate(Fake(box="listed"), bare, None)


def test_normaliser_and_threshold() -> None:
    shapes = np.stack([truth(index) for index in range(COUNT)])
    eyes = np.linalg.norm(shapes[:, EYES[1]] - shapes[:, EYES[0]], axis=1)
    listed = replace(FACES, box="listed")
    found = evaluate(Fake(), listed, None, kind="box", threshold=0.5)
    expected = 100 * np.mean(np.array(Fake.final) * eyes / 50)  # sqrt(100 * 25)
    assert found.scores["full"]["cascade"].nme == pytest.approx(expected)
    assert found.scores["full"]["cascade"].threshold == 0.5
    assert "in % of box, the square root" in how(found)
    assert found.box == "landmarks"  # the cascade's, whatever divides the errors
    assert evaluate(Fake(), FACES, None).threshold == 0.1


def test_tables(found: Evaluation) -> None:
    table = rows(found)
    assert table[0] == [
        "subset", "faces", "stage", "NME %", "FR@0.1 %", "AUC@0.1",
        "left eye", "right eye", "nose", "mouth", "contour", "along", "across",
    ]  # fmt: skip
    assert len(table) == 7 and {len(line) for line in table} == {13}
    assert table[2][:5] == ["full", "4", "cascade", "4.50", "25.00"]
    assert how(found) == (
        "drawn, test: 4 faces. Errors in % of interocular, the distance of the outer eye corners; "
        "face box: the extent of the true landmarks."
    )
    poses = pose_rows(found)
    assert poses[0][:2] == ["pitch + yaw", "0-10"] and poses[0][-1] == ">=90"
    assert sum(map(int, poses[1][1:])) == 4
    assert [line[0] for line in poses] == ["pitch + yaw", "faces", "global", "cascade"]


def test_json_and_csv(found: Evaluation) -> None:
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["scores"]["odd"]["global"]["nme"] == pytest.approx(4)
    assert (data["data"], data["split"], data["faces"]) == ("drawn", "test", 4)
    assert (data["box"], data["normaliser"], data["threshold"]) == ("landmarks", "interocular", 0.1)
    assert data["by_pose"]["global"][-1]["high"] is None
    lines = list(csv.DictReader(found.to_csv().splitlines()))
    assert [line["face"] for line in lines] == [f"drawn/{index}" for index in range(COUNT)]
    assert [float(line["cascade_nme"]) for line in lines] == pytest.approx([2, 2, 12, 2])
    assert float(lines[2]["global_mouth"]) == pytest.approx(20)
    assert [line["even"] + line["odd"] for line in lines] == ["10", "01", "10", "01"]
    assert all(abs(float(line["yaw"])) < 90 for line in lines)


@pytest.mark.parametrize(
    ("cascade", "data", "split", "message"),
    [
        (Fake(), FACES, "tset", "drawn has no split 'tset'; did you mean 'test'"),
        (Fake(markup=MARKUPS[98]), FACES, "test", "drawn has 68 landmarks, the model finds 98"),
        (Fake(), replace(FACES, faces=lambda *_: []), "test", "'test' has no faces here"),
    ],
)
def test_what_does_not_fit(cascade: Fake, data: FaceSet, split: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(cascade, data, None, split)


@pytest.mark.parametrize("threshold", [0, 8])  # 8 % is 0.08
def test_a_threshold_is_a_fraction(threshold: float) -> None:
    told = f"threshold: expected a fraction, above 0 and up to 1, got {threshold}"
    with pytest.raises(InputError, match=told):
        evaluate(Fake(), FACES, None, threshold=threshold)


def test_a_face_that_lacks_points_is_named() -> None:
    points = truth(2)
    points[[30, 40]] = np.nan
    less = [face_of(0), replace(face_of(2), points=points)]
    data = replace(FACES, faces=lambda root, split, partial: less)
    wrong = (
        r"^drawn \(drawn/2\): point 31 of 68 is not marked \(2 in all\); a face must have all of"
    )
    with pytest.raises(InputError, match=wrong):
        evaluate(Fake(), data, None)
    with pytest.raises(InputError, match=wrong):
        evaluate_faces(Fake(), FACES, less, "test")


def test_landmarks_that_are_no_numbers_are_named_by_file() -> None:
    with pytest.raises(
        InputError, match=r"^drawn \(drawn/1\), global: the model's landmarks are no numbers"
    ):
        evaluate(Fake(initial=(0.1, np.nan, 0.1, 0.1)), FACES, None)


def test_a_face_without_a_unit_is_named_by_file() -> None:
    points = truth(2)
    points[EYES[1]] = points[EYES[0]]
    faces = [face_of(0), replace(face_of(2), points=points)]
    with pytest.raises(InputError, match=r"^drawn \(drawn/2\): the distance of the outer eye"):
        evaluate(Fake(), replace(FACES, faces=lambda *_: faces), None)


def test_landmarks_far_outside_their_image_are_refused() -> None:
    """Their extent would be the face's box."""
    far = replace(face_of(1), points=truth(1) + [0.0, 400])
    faces = [face_of(0), far]
    with pytest.raises(InputError, match=r"^drawn \(drawn/1\): landmarks lie far outside"):
        evaluate(Fake(), replace(FACES, faces=lambda *_: faces), None)
