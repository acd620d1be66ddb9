"""Cascades of other lengths than two: trained, located with, and deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from groupnas.engine.training import train as train_networks
from groupnas.errors import InputError
from groupnas.landmarks import train as module
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade, load_networks
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.roles import FACE_LOOK, PART_LOOK, Cells, Gaze, Role
from groupnas.landmarks.train import train_cascade
from groupnas.schema import merged

FACES = 24
MARKUP = MARKUPS[68]
DRAW = np.random.default_rng(1)
FACE, PART = FACE_LOOK, PART_LOOK
SHAPES = [DRAW.uniform(-0.7, 0.7, (count, 2)) for count in (68, 51, 68, 51)]
ROLES = {
    "global": Role(look=FACE),
    "local": Role(look=PART),
    "whole": Role(look=FACE, blend=0.25),
    "close": Role(look=PART, blend=0.5),
}
IMAGE = DRAW.integers(0, 256, (90, 80, 3), dtype=np.uint8)
BOX = np.array([20.0, 15, 60, 70])


class Says(nn.Module):
    """Always the same."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.from_numpy(points).float().flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.points.expand(len(x), -1)


@pytest.fixture(autouse=True, scope="module")
def _cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Faces are drawn once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def cascade_of(count: int) -> Cascade:
    stages = {
        name: Stage(Says(shape), MARKUP, role)
        for shape, (name, role) in zip(SHAPES[:count], [*ROLES.items()][:count], strict=True)
    }
    return Cascade(MARKUP, stages, "landmarks", {})


def mapped(points: np.ndarray, answers: np.ndarray, role: Role) -> np.ndarray:
    """The points after a stage that answers, worked out region by region."""
    assert isinstance(role.look, Gaze)
    found, answer = points.copy(), iter(answers)
    for indices in role.look.regions(MARKUP).parts.values():
        members = points[list(indices)]
        low, high = members.min(axis=0), members.max(axis=0)
        if role.look.frame == "box":
            low, high = BOX[:2], BOX[2:]
        half = (high - low).max() * role.look.margin / 2
        for index in indices:
            closer = (low + high) / 2 + next(answer) * half
            found[index] = points[index] + role.blend * (closer - points[index])
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_stage_looks_where_the_one_before_found_the_points(count: int) -> None:
    found = cascade_of(count).locate(IMAGE, BOX[None])
    assert list(found.stages) == list(ROLES)[:count]
    points = np.zeros((68, 2))
    for shape, (name, role) in zip(SHAPES, ROLES.items(), strict=True):
        if name in found.stages:
            points = mapped(points, shape, role)
            np.testing.assert_allclose(found.stages[name][0], points, atol=1e-4)
    np.testing.assert_allclose(found.points[0], found.stages[list(found.stages)[-1]][0])
    np.testing.assert_allclose(found.initial[0], found.stages["global"][0])


def recipe_of(changes: dict[str, Any]) -> Recipe:
    return recipe_from(merged(load_recipe("small:once").model_dump(mode="json"), changes), "it")


@pytest.fixture
def longer(small: Path) -> Recipe:
    """Three stages, of which the second is trained in two steps, and two are searched."""
    plain = load_recipe("small:once").model_dump(mode="json")
    local, step = plain["stages"]["local"], plain["steps"]["local"]
    searched = {**local, "grouping": "quick"}
    return recipe_of(
        {
            "stages": {"local": {"grouping": "quick"}, "closer": {**searched, "blend": 0.5}},
            "steps": {"closer": {**step, "train": "closer"}, "more": {**step, "train": "local"}},
        }
    )


def test_three_stages_are_trained_in_four_steps(
    longer: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, starts, ends = train_networks, {}, {}

    def train(network: Any, task: Any, settings: Any, folder: Path, **options: Any) -> Any:
        starts[folder.name] = {k: v.clone() for k, v in network.state_dict().items()}
        trained = original(network, task, settings, folder, **options)
        ends[folder.name] = {k: v.clone() for k, v in trained.network.state_dict().items()}
        return trained

    monkeypatch.setattr(module, "train", train)
    card = train_cascade(longer, "run", root=None, limit=FACES)
    content = json.loads(card.read_text())
    assert list(content["stages"]) == ["global", "local", "closer"]
    assert list(starts) == ["global", "local", "closer", "more"]
    folders = {path.name for path in Path("run").iterdir() if path.is_dir()}
    assert folders == {*starts, "search-local", "search-closer"}
    # the last step goes on where the one before it left that stage, and its end is kept
    assert all(torch.equal(ends["local"][key], value) for key, value in starts["more"].items())
    networks = load_networks(card)[1]
    kept = networks["local"].module.state_dict()
    assert all(torch.equal(ends["more"][key], value) for key, value in kept.items())
    assert any(not torch.equal(starts["more"][key], value) for key, value in kept.items())
    scores = content["scores"]["validation"]["scores"]["full"]
    assert list(scores) == ["global", "local", "cascade"]
    assert scores["local"]["nme"] != scores["cascade"]["nme"]

    whole = [Path("run", name).read_bytes() for name in ("model.json", "model.safetensors")]
    Path("run/model.json").unlink()
    train_cascade(longer, "run", root=None, limit=FACES, resume=True)
    assert whole == [Path("run", name).read_bytes() for name in ("model.json", "model.safetensors")]


def test_the_page_shows_all_steps(longer: Recipe) -> None:
    from groupnas.landmarks.page.cascades import collect_cascade
    from groupnas.report.page.reading import Reader

    train_cascade(longer, "run", root=None, limit=FACES)
    run = collect_cascade(Reader(Path("run")), "run")
    titles = list(dict.fromkeys(chart.title.split(":")[0] for chart in run.charts))
    assert titles == ["global", "local", "closer", "search-local", "search-closer", "more"]
    assert [one.network for one in run.costs][-3:] == [
        f"{stage} network" for stage in ("global", "local", "closer")
    ]


def test_one_stage_is_a_cascade(small: Path) -> None:
    plain = load_recipe("small:once").model_dump(mode="json")
    del plain["stages"]["local"], plain["steps"]["local"]
    card = train_cascade(recipe_from(plain, "it"), "run", root=None, limit=FACES)
    content = json.loads(card.read_text())
    assert list(content["scores"]["validation"]["scores"]["full"]) == ["cascade"]
    found = load_cascade(card).locate(IMAGE, BOX[None])
    assert found.points is found.initial and found.points.shape == (1, 68, 2)


def test_a_first_network_is_taken_by_chains_of_other_lengths(longer: Recipe) -> None:
    train_cascade(load_recipe("small:once"), "pair", root=None, limit=FACES)
    train_cascade(longer, "run", root=None, limit=FACES, global_from="pair")
    assert not Path("run/global").exists()
    states = [load_networks(run)[1]["global"].module.state_dict() for run in ("pair", "run")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_search_is_no_step(small: Path) -> None:
    step = load_recipe("small").model_dump(mode="json")["steps"]["local"]
    with pytest.raises(InputError, match="^it: steps.search: means something else"):
        recipe_of({"steps": {"search": step}})


@pytest.mark.parametrize("count", [1, 3, 4])
def test_all_stages_are_deployed(longer: Recipe, count: int) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    from groupnas.landmarks.deploy.export import join
    from groupnas.landmarks.deploy.graph import FLOAT, Graph
    from groupnas.landmarks.deploy.runtime import OnnxCascade

    def says(shape: np.ndarray, look: Gaze | Cells) -> Any:
        assert isinstance(look, Gaze)
        graph = Graph()
        channels = look.channels * len(look.regions(MARKUP).parts)
        x = graph.input("x", FLOAT, (1, channels, look.size, look.size))
        nothing = x.reduce("Sum", 1, 2, 3) * 0
        y = graph.constant(shape.reshape(1, -1), FLOAT) + nothing.reshape(1, 1)
        graph.output("y", y, (1, shape.size))
        return graph.model("says", {})

    card, _ = load_networks(train_cascade(load_recipe("small:once"), "run", root=None, limit=FACES))
    local = card.stages["local"]
    used = {k: v for k, v in [*ROLES.items()][:count]}
    stages = {name: local.model_copy(update=dict(role)) for name, role in used.items()}
    networks = {
        name: says(shape, ROLES[name].look) for name, shape in zip(used, SHAPES, strict=False)
    }
    model = join(card.model_copy(update={"stages": stages}), networks)
    onnx.save(model, "it.onnx")
    expected = cascade_of(count).locate(IMAGE, BOX[None])
    found = OnnxCascade.load("it.onnx").locate(IMAGE, BOX[None])
    assert list(found.stages) == list(expected.stages)
    for name, points in found.stages.items():
        np.testing.assert_allclose(points, expected.stages[name], atol=1e-3)
    names = [entry.name for entry in model.graph.output]
    assert names == {1: ["points"], 3: ["points", "local", "initial"]}.get(
        count, ["points", "whole", "local", "initial"]
    )
