"""Regions along the contour: which points each has, and a cascade that looks at them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.crops import along_contour
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.evaluation import evaluate
from groupnas.landmarks.load import load_landmarks
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.recipe import load_recipe, recipe_from
from groupnas.landmarks.roles import PART_LOOK, Gaze
from groupnas.landmarks.train import train_cascade
from groupnas.schema import merged

MARKUP = MARKUPS[68]
LENGTHS = {(68, 1): [17], (68, 3): [6, 5, 6], (68, 5): [3, 4, 3, 4, 3], (98, 3): [11, 11, 11]}


@pytest.mark.parametrize(("points", "count"), LENGTHS)
def test_each_point_is_in_one_run_and_mirroring_swaps_runs(points: int, count: int) -> None:
    markup = MARKUPS[points]
    runs = [*along_contour(markup, count).parts.values()][len(markup.parts) :]
    assert [len(run) for run in runs] == LENGTHS[points, count]
    assert sum(runs, ()) == markup.contour
    for run, swapped in zip(runs, runs[::-1], strict=True):
        assert {markup.flip[point] for point in run} == set(swapped)


@pytest.mark.parametrize(("points", "count"), [(68, 2), (68, 9), (29, 1), (19, 3)])
def test_runs_that_cannot_be(points: int, count: int) -> None:
    with pytest.raises(InputError, match=f"make no {count} runs"):
        along_contour(MARKUPS[points], count)


def test_of_extents_alone() -> None:
    with pytest.raises(ValueError, match="contour: is of extents, and frame is box"):
        Gaze(frame="box", contour=3, margin=1.3, size=64, colour=False)
    assert Gaze(frame="extents", margin=1.3, size=64, colour=False).regions(MARKUP) is MARKUP


def test_regions_lie_around_their_points() -> None:
    look = Gaze(frame="extents", contour=3, margin=1.3, size=16, colour=False)
    task = load_landmarks(face_set("synthetic"), None, look, limit=4, cache=False)
    assert [*task.inputs] == [*MARKUP.parts, "contour1", "contour2", "contour3"]
    assert list(task.outputs.values())[4:] == [12, 10, 12]
    points = task.patches.points  # the longer side of what a region encloses is 1 / 1.3 of it
    ends = np.cumsum(list(task.outputs.values())) // 2
    for own in np.split(points, ends[:-1], axis=1):
        np.testing.assert_allclose(np.ptp(own, axis=1).max(axis=1), 2 / 1.3, rtol=1e-5)
    parts = load_landmarks(face_set("synthetic"), None, PART_LOOK, limit=4, cache=False)
    np.testing.assert_allclose(points[:, :51], parts.patches.points, rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade whose local stage looks along the contour, from its recipe alone."""
    folder, small = tmp_path_factory.mktemp("contour"), Path(__file__).parent / "small"
    (folder / "search_spaces").mkdir()
    for name in ("small_global.yaml", "small_contour.yaml"):
        (folder / "search_spaces" / name).write_bytes((small / name).read_bytes())
    local: dict[str, Any] = {"space": "small_contour", "look": {"contour": 3}}
    recipe = load_recipe(small / "small.yaml").model_dump(mode="json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GROUPNAS_CACHE", str(folder / "cache"))
        changed = recipe_from(merged(recipe, {"stages": {"local": local}}), "contour")
        return train_cascade(changed, "run", root=None, limit=24, quiet=True).absolute().parent


def test_the_whole_face_is_looked_at_twice(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    from groupnas.landmarks.deploy.export import export_cascade
    from groupnas.landmarks.deploy.runtime import OnnxCascade

    export_cascade(trained, tmp_path / "it.onnx")
    data, cascade = face_set("synthetic"), load_cascade(trained)
    ours = evaluate(cascade, data, None)
    theirs = evaluate(OnnxCascade.load(tmp_path / "it.onnx"), data, None)
    contour = list(MARKUP.contour)
    for found in (ours, theirs):
        assert (found.located["cascade"] != found.located["global"])[:, contour].any(axis=2).all()
        assert "contour" in found.scores["full"]["cascade"].parts
    apart = np.abs(ours.located["cascade"] - theirs.located["cascade"])
    assert apart.mean() < 0.1 and apart.max() < 1


def test_a_space_without_the_contour_is_told(tmp_path: Path) -> None:
    recipe = load_recipe("300w")
    look = recipe.stages["local"].look
    assert isinstance(look, Gaze)
    with pytest.raises(InputError, match="picasso_local:68 has inputs .*contour3"):
        train_cascade(
            recipe.with_stage("local", look=replace(look, contour=3)), tmp_path / "run", root=None
        )
    data = merged(recipe.model_dump(mode="json"), {"stages": {"local": {"look": {"contour": 99}}}})
    with pytest.raises(InputError, match=r"stages\.local\.look\.contour"):
        recipe_from(data, "it")
