"""Stages that look at an earlier one's features: trained together, and located with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from helpers import exit_code

from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.strategy import Optimizer
from groupnas.engine.task_check import check_task
from groupnas.engine.training import train as train_networks
from groupnas.errors import InputError
from groupnas.landmarks import train as module
from groupnas.landmarks.answers import IncrementsAnswer
from groupnas.landmarks.chain import Chain, ChainTask
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.features import features_around
from groupnas.landmarks.frames import Frame, upright
from groupnas.landmarks.load import load_faces, load_landmarks
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade, load_networks
from groupnas.landmarks.paper.evaluated import _settings
from groupnas.landmarks.paper.runs import read_runs
from groupnas.landmarks.preview import recipe_views
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.roles import Cells, Gaze
from groupnas.landmarks.sources import Features, Photos
from groupnas.landmarks.stage_task import load_stage
from groupnas.landmarks.train import train_cascade
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.modules import plain_name
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import SearchSpace, load_space

FACES = 24
MARKUP = MARKUPS[68]
IMAGE = np.random.default_rng(1).integers(0, 256, (90, 80, 3), dtype=np.uint8)
BOX = np.array([20.0, 15, 60, 70])
REFINES = {
    "format": 1,
    "title": "Steps of all points, small",
    "input": [3, 3],
    "groups": 68,
    "inputs": {"each": 8},
    "outputs": {"each": 2},
    "act": "relu",
    "layers": [
        {"name": "hidden", "op": "linear", "c": {"each": 2}},
        {"name": "output", "op": "linear", "joint": True},
    ],
}


pytestmark = pytest.mark.usefixtures("cached")


def settings(**changes: Any) -> dict[str, Any]:
    """A global stage, and two refinements that look at its first row, in two steps."""
    plain = load_recipe("small:once").model_dump(mode="json")
    whole, step = plain["stages"]["global"], plain["steps"]["global"]
    fine = {"space": "refines", "look": {"at": "global.stem", "size": 3}, "answer": "increments"}
    plain["stages"] = {"global": whole, "coarse": fine, "fine": {**fine, "blend": 0.5}}
    plain["steps"] = {
        "together": {**step, "train": ["global", "coarse", "fine"]},
        "refine": {**step, "train": ["coarse", "fine"]},
    }
    return {**plain, **changes}


@pytest.fixture
def recipe(small: Path) -> Recipe:
    channels = load_space("small_global").layers[0].out_channels
    content = {**REFINES, "inputs": {"each": channels}}
    (small / "search_spaces/refines.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return recipe_from(settings(), "it")


def chain_of(recipe: Recipe, trained: list[str]) -> Chain:
    networks = {}
    for number, (name, stage) in enumerate(recipe.stages.items()):
        space = load_space(stage.space)
        torch.manual_seed(number)
        networks[name] = _drawn(space)
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    return Chain(networks, roles, trained)


def networks_of(chain: Chain) -> list[GroupedNetwork]:
    return [cast(GroupedNetwork, network) for network in chain.networks.values()]


def _drawn(space: SearchSpace) -> GroupedNetwork:
    network = Allocation.even(space).build()
    for parameter in network.parameters():  # outputs start at 0 otherwise
        parameter.data.uniform_(-0.3, 0.3)
    return network


def test_a_chain_is_its_stages_one_after_the_other(recipe: Recipe) -> None:
    chain = chain_of(recipe, ["coarse", "fine"]).eval()
    x = torch.rand(3, 3, 24, 24)
    whole, coarse, fine = networks_of(chain)
    with torch.no_grad():
        outputs, maps = whole.features(x, ["stem"])
        first = outputs.unflatten(1, (-1, 2))
        second = first + coarse(features_around(maps["stem"], first, 3)).unflatten(1, (-1, 2))
        step = fine(features_around(maps["stem"], second, 3)).unflatten(1, (-1, 2))
        third = second + 0.5 * step
        found = chain(x).unflatten(1, (2, 68, 2))
    torch.testing.assert_close(found[:, 0], second)
    torch.testing.assert_close(found[:, 1], third)
    assert (second - first).abs().max() > 0.01 and (third - second).abs().max() > 0.01


def test_rows_of_a_stage_learn_at_a_rate_of_their_own(recipe: Recipe) -> None:
    chain = chain_of(recipe, ["global", "coarse", "fine"])
    slow = {"global": 0.5, "global.stem": 0, "fine.hidden": 0.1}
    optimizer = make_optimizer(Optimizer(lr=1, slow=slow), chain)
    set_learning_rate(optimizer, Optimizer(lr=1), 0)
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    for stage, network in zip(recipe.stages, networks_of(chain), strict=True):
        for layer, modules in network.layers():
            rate = slow.get(f"{stage}.{layer.name}", slow.get(stage, 1))
            assert {rates[id(weight)] for weight in modules.parameters()} == {rate}
    with pytest.raises(InputError, match="no row 'corse' has weights; did you mean 'coarse'"):
        make_optimizer(Optimizer(lr=1, slow={"corse": 0.1}), chain)


def test_gradients_reach_trained_weights_alone_and_not_through_points(recipe: Recipe) -> None:
    chain, x = chain_of(recipe, ["global", "fine"]), torch.rand(2, 3, 24, 24)
    chain.train()
    assert [network.training for network in chain.networks.values()] == [True, False, True]
    chain(x).split(136, dim=1)[1].sum().backward()  # the loss of the last stage alone
    whole, coarse, fine = networks_of(chain)
    assert all(parameter.grad is None for parameter in coarse.parameters())
    assert all(parameter.grad is not None for parameter in fine.parameters())
    # the first row through its features; the rows behind only move where the last starts from
    with_gradient = {
        name.split(".")[1]
        for name, parameter in whole.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert with_gradient == {"stem"}


def test_increments_are_steps_in_the_units_of_their_region() -> None:
    frame = upright(np.array([[[50.0, 60.0]]]), np.array([[40.0]])).of([0, 0])
    before = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    found = IncrementsAnswer().shape(np.array([[[0.5, 0.0], [0.0, -1.0]]]), frame, before)
    assert found.tolist() == [[[11, 2], [3, -16]]]


def test_features_are_seen_around_points_of_the_photo() -> None:
    """A map whose cells say where they lie: a plane, x alone, over a turned region."""
    centres = (2 * torch.arange(8) + 1) / 8 - 1
    maps = centres.expand(1, 1, 8, 8)
    quarter = Frame(np.array([[[[0.0, -20.0], [20.0, 0.0]]]]), np.array([[[50.0, 60.0]]]))
    features = Features(maps, quarter)
    points = np.array([[[50.0, 60.0], [50.0, 70.0]]])  # the middle; half a region below it
    look = Cells(at="global.stem", size=3)
    frame = features.frames(look, np.zeros((1, 4)), points, MARKUP)
    np.testing.assert_array_equal(frame.origin, points)
    seen = features.cut(frame, look, torch.device("cpu"))
    assert seen.shape == (1, 2, 3, 3)
    # down in the photo is along x of the region that was turned by a quarter
    torch.testing.assert_close(seen[0, 0, 1], torch.tensor([-0.25, 0.0, 0.25]))
    torch.testing.assert_close(seen[0, 1, 1], torch.tensor([0.25, 0.5, 0.75]))
    np.testing.assert_allclose(frame.vectors(np.array([[[1.0, 0]] * 2])), [[[0, 20]] * 2])


def test_a_cascade_finds_what_its_chain_finds(recipe: Recipe) -> None:
    card = train_cascade(recipe, "run", root=None, limit=FACES)
    cascade, (_, networks) = load_cascade(card), load_networks(card)
    chain = Chain(
        {name: one.module for name, one in networks.items()}, cascade.roles, recipe.stages
    ).eval()
    found = cascade.locate(IMAGE, BOX[None])
    stage = cascade.stages["global"]
    frame = stage.frames(Photos([IMAGE]), BOX[None], None)
    with torch.no_grad():
        answers = chain(stage.see(Photos([IMAGE]), frame)).double().numpy().reshape(3, 1, 68, 2)
    assert list(found.stages) == ["global", "coarse", "fine"]
    for points, answer in zip(found.stages.values(), answers, strict=True):
        np.testing.assert_allclose(points, frame.of([0] * 68).out(answer), atol=1e-3)
    assert np.abs(found.points - found.initial).max() > 1e-4


def test_steps_train_what_they_say(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = train_networks, []

    def train(network: Any, *arguments: Any, **options: Any) -> Any:
        before = {name: value.clone() for name, value in network.state_dict().items()}
        trained = original(network, *arguments, **options)
        after = trained.network.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        stages = {plain_name(name).partition(".")[0] for name in changed}
        seen.append([stage for stage in recipe.stages if stage in stages])
        return trained

    monkeypatch.setattr(module, "train", train)
    card = train_cascade(recipe, "run", root=None, limit=FACES)
    assert seen == [["global", "coarse", "fine"], ["coarse", "fine"]]
    history = json.loads(Path("run/together/history.jsonl").read_text().splitlines()[0])
    assert list(history["validation"]) == ["global", "coarse", "fine", "mean"]
    content = json.loads(card.read_text())
    assert content["stages"]["fine"]["look"] == {
        "at": "global.stem", "frame": "points", "size": 3
    }  # fmt: skip
    scores = content["scores"]["validation"]["scores"]["full"]
    assert list(scores) == ["global", "coarse", "cascade"]

    whole = [Path("run", name).read_bytes() for name in ("model.json", "model.safetensors")]
    Path("run/model.json").unlink()
    train_cascade(recipe, "run", root=None, limit=FACES, resume=True)
    assert whole == [Path("run", name).read_bytes() for name in ("model.json", "model.safetensors")]


def test_a_taken_network_is_not_trained(recipe: Recipe) -> None:
    train_cascade(load_recipe("small:once"), "pair", root=None, limit=FACES)
    train_cascade(recipe, "run", root=None, limit=FACES, global_from="pair")
    states = [load_networks(run)[1]["global"].module.state_dict() for run in ("pair", "run")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_features_are_learnt_from_where_a_taken_network_looks(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from where the recipe's own would."""
    card = train_cascade(load_recipe("small:once"), "pair", root=None, limit=FACES)
    content = json.loads(card.read_text())
    content["stages"]["global"]["look"]["margin"] = 1.5
    card.write_text(json.dumps(content))
    seen = []

    def load(faces: Any, root: Any, role: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(role.look.margin)
        return load_stage(faces, root, role, *arguments, **options)

    monkeypatch.setattr(module, "load_stage", load)
    train_cascade(recipe, "run", root=None, limit=FACES, global_from="pair")
    assert seen == [1.5, 1.5]
    content["stages"]["global"]["look"]["mirrored"] = "averaged"
    card.write_text(json.dumps(content))
    with pytest.raises(InputError, match="--global-from: .*coarse.look.at: global: is no earlier"):
        train_cascade(recipe, "again", root=None, limit=FACES, global_from="pair")


def test_the_task_is_one_as_the_engine_wants_it(recipe: Recipe) -> None:
    look = recipe.stages["global"].look
    assert isinstance(look, Gaze)
    faces = load_landmarks(face_set("synthetic"), None, look, limit=FACES)
    task = ChainTask(faces, ["coarse", "fine"])
    check_task(None, task)
    x, target = task.batch(torch.arange(5))
    both = torch.cat([target.points, target.points + 0.1], dim=1)
    errors = task.errors(both, target)
    assert errors.shape == (5, 2) and errors[:, 0].abs().max() == 0
    expected = 0.1 * 2**0.5 * target.percent[:, 0]  # 0.1 box units along x and y
    torch.testing.assert_close(errors[:, 1], expected)
    shifted = task.loss(both, target)
    torch.testing.assert_close(shifted, faces.loss(target.points + 0.1, target))
    assert task.fingerprint() != ChainTask(faces, ["fine"]).fingerprint() != faces.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["stages"]["coarse"]["look"].update(at="fine.stem"), "coarse.look.at: fine: "),
        (lambda s: s["stages"]["coarse"]["look"].update(at="stem"), "coarse.look.at: .*pattern"),
        (lambda s: s["stages"]["coarse"]["look"].update(margin=1), "coarse.look.margin: "),
        (lambda s: s["stages"]["coarse"]["look"].update(size=0), "coarse.look.size: .*got 0"),
        (
            lambda s: s["stages"]["global"].update(answer="increments"),
            "global.answer: what looks at photos answers where points are",
        ),
        (lambda s: s["stages"]["fine"].update(answer="points"), "fine.answer: .* increments, got"),
        (lambda s: s["stages"]["fine"].update(look="box"), "fine.look: [^;]*, got 'box'$"),
        (lambda s: s["stages"]["fine"].update(answer=None), "fine.answer: [^;]*, got None$"),
        (lambda s: s["steps"]["refine"].update(train=["fine"] * 2), "refine.train: .* once"),
        (lambda s: s["steps"].pop("together"), "steps.refine.train: needs global"),
        (lambda s: s["steps"]["refine"].update(train=[]), "steps.refine.train: "),
        (
            lambda s: s["steps"]["refine"].update(train=["global", "coarse"]),
            "steps.refine.train: changes global, whose features fine learned to read; add fine",
        ),
        (lambda s: s["steps"]["refine"].update(train=["cuarse"]), "did you mean 'coarse'"),
        (
            lambda s: s["stages"].update(coarse={**s["stages"]["global"], "space": "refines"}),
            "steps.together.train: coarse looks at the photo anew",
        ),
    ],
)
def test_faults_are_named(recipe: Recipe, change: Any, message: str) -> None:
    data = json.loads(json.dumps(settings()))
    change(data)
    with pytest.raises(InputError, match=f"^it: .*{message}"):
        recipe_from(data, "it")


def test_what_does_not_fit_is_told_before_anything_is_trained(recipe: Recipe) -> None:
    look = Cells(at="global.stam", size=3)
    with pytest.raises(InputError, match="fine.look.at: small_global has no row 'stam'.*'stem'"):
        train_cascade(recipe.with_stage("fine", look=look), "run", root=None, limit=FACES)
    look = Cells(at="global.stem", size=5)
    with pytest.raises(InputError, match=r"refines has input size \(3, 3\), .* needs \(5, 5\)"):
        train_cascade(recipe.with_stage("fine", look=look), "run", root=None, limit=FACES)
    look = Cells(at="global.output", size=3)
    with pytest.raises(
        InputError, match=r"inputs \d+ for each of g0 to g67, .* needs 136 for each"
    ):
        train_cascade(recipe.with_stage("fine", look=look), "run", root=None, limit=FACES)
    with pytest.raises(InputError, match="knapsack takes each group by itself"):
        train_cascade(recipe.with_grouping("knapsack:quick"), "run", root=None, limit=FACES)
    with pytest.raises(InputError, match="fine.grouping: quick: is searched for once"):
        train_cascade(recipe.with_grouping("quick"), "run", root=None, limit=FACES)
    assert not Path("run").exists()


def test_one_file_holds_all_of_it(recipe: Recipe) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    from groupnas.landmarks.deploy.export import export_cascade
    from groupnas.landmarks.deploy.runtime import OnnxCascade

    card = train_cascade(recipe, "run", root=None, limit=FACES)
    assert exit_code("export", "run", "-o", "it.onnx") == 0
    data = face_set("synthetic")
    for face in load_faces(data, None, "test", limit=4):
        box = np.array([[*face.points.min(axis=0), *face.points.max(axis=0)]])
        expected = load_cascade(card).locate(data.read(face), box)
        found = OnnxCascade.load("it.onnx").locate(data.read(face), box)
        assert list(found.stages) == ["global", "coarse", "fine"]
        for name, points in found.stages.items():
            # crops are within a grey level or so of each other; more than that moves these points
            assert np.abs(points - expected.stages[name]).max() < 0.005 * np.ptp(box)
        steps = [expected.stages[name] - expected.initial for name in ("coarse", "fine")]
        ours = [found.stages[name] - found.initial for name in ("coarse", "fine")]
        apart = np.abs(np.array(ours) - steps).mean()
        assert apart < 0.03 * np.abs(steps).mean()
    with pytest.raises(InputError, match="look at features is not written in int8"):
        export_cascade(card, "it.onnx", calibration=[])


def test_features_of_a_stage_before_another_go_into_no_file(recipe: Recipe) -> None:
    from groupnas.landmarks.deploy.export import passes

    card, _ = load_networks(train_cascade(recipe, "run", root=None, limit=FACES))
    assert passes(card) == {"global": ["global", "coarse", "fine"]}
    whole, coarse, fine = card.stages.values()
    assert passes(card.model_copy(update={"stages": {"global": whole, "again": whole}})) == {
        "global": ["global"],
        "again": ["again"],
    }
    between = {"global": whole, "coarse": coarse, "again": whole, "fine": fine}
    with pytest.raises(InputError, match="stages.fine.look.at: global: .* at the photo, again"):
        passes(card.model_copy(update={"stages": between}))


def test_no_crop_of_features_is_mirrored(
    recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    train_cascade(recipe, "run", root=None, limit=FACES)
    assert exit_code("eval", "--model", "run", "--data", "synthetic", "--mirrored") == 2
    assert "--mirrored: the model's stage coarse looks at features" in capsys.readouterr().err


def test_a_step_of_several_stages_is_reported(recipe: Recipe) -> None:
    card = train_cascade(recipe, "run", root=None, limit=FACES)
    (found,) = read_runs([card.parent]).evaluations
    settings = _settings(found)
    assert [one["look"]["frame"] for one in settings] == ["box", "points", "points"]
    assert all(one["training"]["epochs"] for one in settings)


def test_previews_show_what_is_a_picture(recipe: Recipe, small: Path) -> None:
    content = recipe.model_dump(mode="json")
    (small / "strategies/recipes/refined.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (view,) = recipe_views("refined")
    assert view.look.whole and view.look.size == 24
