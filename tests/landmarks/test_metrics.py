"""Scores against hand-worked faces, and against loops that compute them another way."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.metrics import (
    NORMALISERS,
    area,
    check_normaliser,
    cumulative,
    in_words,
    measure,
    normaliser,
    tangents,
)

MARKUP = MARKUPS[68]
seeds = st.integers(0, 10**6)


def faces(seed: int, count: int = 5, points: int = 68) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truth ``(N, K, 2)``; some faces are hit, some are missed."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (count, points, 2))
    spread = 10 ** rng.uniform(-2, 1, (count, 1, 1))
    return truth + spread * rng.normal(size=truth.shape), truth


# -- normalisers ------------------------------------------------------------------------------


def test_normalisers_by_hand() -> None:
    points = np.zeros((1, 68, 2))
    points[0, 36], points[0, 45] = (10, 20), (40, 60)
    boxes = np.array([[10.0, 20.0, 50.0, 110.0]])

    def of(kind: str) -> float:
        return float(normaliser(points, MARKUP, kind, boxes)[0])

    assert of("interocular") == 50
    # The means over six points each: (10, 20) / 6 and (40, 60) / 6.
    assert of("interpupil") == pytest.approx(50 / 6)
    assert (of("box"), of("box_longest"), of("box_width")) == (60, 90, 40)
    two = replace(MARKUP, distance=(0, 45), names=tuple(f"p{number}" for number in range(68)))
    assert normaliser(points, two, "distance")[0] == pytest.approx(math.hypot(40, 60))
    assert in_words("distance", two) == "distance of p0 and p45"
    tried = {"interocular", "interpupil", "distance", "box", "box_longest", "box_width"}
    assert set(NORMALISERS) == tried


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("interocular", "marks no outer eye corners"),
        ("interpupil", "marks no eyes"),
        ("distance", "names no two points"),
    ],
)
def test_a_markup_without_eyes_is_told_what_it_lacks(kind: str, told: str) -> None:
    blind = replace(MARKUP, interocular=None, interpupil=None)
    with pytest.raises(InputError, match=rf"normaliser '{kind}': 300W {told}.*; use 'box'"):
        check_normaliser(kind, blind)


def test_a_markup_without_a_contour_has_no_error_of_it() -> None:
    whole = replace(MARKUP, parts={**MARKUP.parts, "outline": MARKUP.contour}, contour=())
    rng = np.random.default_rng(0)
    found, truth = rng.uniform(0, 50, (2, 3, 68, 2))
    errors = measure(found, truth, np.full(3, 20.0), whole)
    assert [*errors.parts] == [*MARKUP.parts, "outline"]
    before = measure(found, truth, np.full(3, 20.0), MARKUP)
    np.testing.assert_array_equal(errors.parts["outline"], before.parts["contour"])


def test_pupils_where_they_are_marked() -> None:
    points = np.zeros((1, 98, 2))
    points[0, 97] = 3, 4
    assert normaliser(points, MARKUPS[98], "interpupil").tolist() == [5]


@pytest.mark.parametrize(
    ("points", "kind", "message"),
    [
        (68, "inter-ocular", "did you mean 'interocular'"),
        (19, "interocular", "AFLW marks no outer eye corners; use 'box'"),
        (68, "interocular", "face 1: the distance of the outer eye corners is 0 pixels"),
        (68, "box", "face 0: the square root .* is 0 pixels"),
        (68, "box_width", "face 0: the width of the face box is -1 pixels"),
    ],
)
def test_bad_normalisers(points: int, kind: str, message: str) -> None:
    shapes = np.ones((2, points, 2))
    shapes[0, 45 % points] = 9
    boxes = np.array([[5.0, 5, 4, 7], [5, 5, 4, 7]])
    with pytest.raises(InputError, match=message):
        normaliser(shapes, MARKUPS[points], kind, boxes)


def test_a_box_normaliser_needs_boxes() -> None:
    with pytest.raises(ValueError, match="needs boxes"):
        normaliser(np.ones((1, 68, 2)), MARKUP, "box")


# -- errors -----------------------------------------------------------------------------------


def test_errors_by_hand() -> None:
    # Face 0: the left-most brow point (of 68) is off by (3, 4), everything else exact.
    truth = np.random.default_rng(0).uniform(0, 100, (2, 68, 2))
    predicted = truth.copy()
    predicted[0, 17] += 3, 4
    errors = measure(predicted, truth, np.array([50.0, 20.0]), MARKUP)
    assert errors.nme == pytest.approx([0.1 / 68, 0])
    assert list(errors.parts) == ["left_eye", "right_eye", "nose", "mouth", "contour"]
    assert errors.parts["left_eye"] == pytest.approx([0.1 / 11, 0])
    for part in ("right_eye", "nose", "mouth", "contour"):
        assert not errors.parts[part].any()
    # The mean over faces of the mean over points: the second face counts in full.
    assert errors.scores().nme == pytest.approx(100 * 0.1 / 68 / 2)
    assert errors.scores(np.array([True, False])).nme == pytest.approx(100 * 0.1 / 68)


def test_tangential_and_normal_by_hand() -> None:
    # All points in a row along x, and so every tangent, forth or back.
    truth = np.zeros((1, 68, 2))
    truth[0, :, 0] = np.arange(68) * 51
    predicted = truth + [3.0, -4.0]
    errors = measure(predicted, truth, np.array([100.0]), MARKUP)
    assert (errors.tangential[0], errors.normal[0]) == pytest.approx((0.03, 0.04))
    assert errors.nme[0] == pytest.approx(0.05)


@pytest.mark.parametrize("points", [19, 29, 68, 98, 106])
@given(seed=seeds)
def test_agrees_with_a_computation_point_by_point(points: int, seed: int) -> None:
    markup = MARKUPS[points]
    predicted, truth = faces(seed, points=points)
    distance = np.random.default_rng(seed).uniform(20, 80, len(truth))
    errors = measure(predicted, truth, distance, markup)
    per_face, tangential, normal = [], [], []
    for face, true, scale in zip(predicted.tolist(), truth.tolist(), distance, strict=True):
        sizes, along, across = [], [], []
        for (x, y), (u, v), (before, after) in zip(face, true, markup.neighbours, strict=True):
            sizes.append(math.hypot(x - u, y - v) / scale)
            if before != after:
                angle = math.atan2(
                    true[after][1] - true[before][1], true[after][0] - true[before][0]
                )
                turn = math.atan2(y - v, x - u) - angle
                along.append(abs(sizes[-1] * math.cos(turn)))
                across.append(abs(sizes[-1] * math.sin(turn)))
        per_face.append(sum(sizes) / points)
        tangential.append(sum(along) / len(along))
        normal.append(sum(across) / len(across))
    scores = errors.scores()
    assert scores.nme == pytest.approx(100 * sum(per_face) / len(per_face))
    assert scores.tangential == pytest.approx(100 * sum(tangential) / len(tangential))
    assert scores.normal == pytest.approx(100 * sum(normal) / len(normal))
    failures = sum(error > 0.1 for error in per_face)
    assert scores.failure_rate == pytest.approx(100 * failures / len(per_face))
    # Parts partition the points: their weighted mean is the whole.
    regions = {**markup.parts, "contour": markup.contour}
    pooled = sum(scores.parts[part] * len(indices) for part, indices in regions.items())
    assert pooled / points == pytest.approx(scores.nme)


def test_points_without_a_tangent_do_not_count() -> None:
    truth = np.full((1, 68, 2), 7.0)  # all neighbours coincide
    truth[0, 45] = 20
    assert np.count_nonzero(tangents(truth, MARKUP).any(axis=-1)) == 2  # 44 and 46 beside it
    flat = np.full((1, 68, 2), 7.0)
    scores = measure(flat + 1, flat, np.ones(1), MARKUP).scores()
    assert scores.tangential is None and scores.normal is None
    assert json.loads(json.dumps(asdict(scores)))["tangential"] is None


@pytest.mark.parametrize("what", ["predicted", "true", "normaliser"])
def test_what_is_not_a_number_is_loud(what: str) -> None:
    predicted, truth = faces(0)
    distance = np.ones(len(truth))
    {"predicted": predicted, "true": truth, "normaliser": distance}[what][3] = np.nan
    with pytest.raises(ValueError, match=f"face 3: a {what} value is nan"):
        measure(predicted, truth, distance, MARKUP)


def test_wrong_shapes_are_loud() -> None:
    predicted, truth = faces(0)
    with pytest.raises(ValueError, match=r"expected twice \(N, 68, 2\)"):
        measure(predicted[:, :17], truth, np.ones(5), MARKUP)
    with pytest.raises(ValueError, match=r"expected twice \(N, 98, 2\)"):
        measure(predicted, truth, np.ones(5), MARKUPS[98])
    with pytest.raises(ValueError, match="a normaliser above 0 for each of 5 faces"):
        measure(predicted, truth, np.zeros(5), MARKUP)


# -- the error distribution -------------------------------------------------------------------


def test_ced_fr_and_auc_by_hand() -> None:
    nme = np.array([0.02, 0.05, 0.1, 0.3])  # 0.1 itself is no failure
    steps, shares = cumulative(nme)
    assert len(steps) == 1001 and (steps[0], steps[-1]) == (0, 0.1)
    assert (shares[0], shares[199], shares[200], shares[500], shares[999], shares[1000]) == (
        0, 0, 0.25, 0.5, 0.5, 0.75,
    )  # fmt: skip
    # A staircase: 0.08 and 0.05 of the range at a quarter each, and Simpson's thousandth parts.
    assert area(nme) == pytest.approx((0.8 + 0.5) / 4, abs=0.001)
    assert area(np.zeros(3)) == pytest.approx(1)
    assert area(np.ones(3)) == 0


@given(seed=seeds, threshold=st.sampled_from([0.08, 0.1]))
def test_auc_agrees_with_simpson_by_hand(seed: int, threshold: float) -> None:
    nme = np.random.default_rng(seed).gamma(2, 0.03, 7)
    ced = [
        sum(error <= step for error in nme) / len(nme) for step in np.linspace(0, threshold, 1001)
    ]
    odd, even = sum(ced[1:-1:2]), sum(ced[2:-1:2])
    assert area(nme, threshold) == pytest.approx((ced[0] + 4 * odd + 2 * even + ced[-1]) / 3000)
    assert cumulative(nme, threshold)[1].tolist() == ced


@pytest.mark.parametrize("nme", [[], [0.1, math.nan], [math.inf]])
def test_no_distribution_of_nothing(nme: list[float]) -> None:
    with pytest.raises(ValueError, match="finite errors of at least one face"):
        cumulative(np.array(nme))
    with pytest.raises(ValueError, match="threshold"):
        cumulative(np.ones(1), 0.0)


def test_no_scores_of_an_empty_subset() -> None:
    errors = measure(*faces(0), np.full(5, 50.0), MARKUP)
    with pytest.raises(ValueError, match="at least one face"):
        errors.scores(np.zeros(5, bool))


def test_nme_by_pose() -> None:
    predicted, truth = faces(0)
    errors = measure(predicted, truth, np.full(5, 50.0), MARKUP)
    bins = errors.by_pose(np.array([0.0, 9.9, -10.0, 90.0, 150.0]))
    assert [bin.faces for bin in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bins[0].nme == pytest.approx(100 * errors.nme[:2].mean())
    assert bins[9].nme == pytest.approx(100 * errors.nme[3:].mean())
    assert bins[5].nme is None
    assert (bins[9].low, bins[9].high) == (90, None)
