"""GRegNet with LRefNets: its recipe, dropout, choice of epochs, searched refinements, commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers import exit_code
from torch import Tensor

from groupnas.deploy.export import export_onnx
from groupnas.engine.search import search
from groupnas.engine.split import Split
from groupnas.engine.strategy import load_strategy
from groupnas.engine.task_check import check_task
from groupnas.engine.training import Trainer
from groupnas.errors import InputError
from groupnas.landmarks.chain import Chain, ChainTask, CountedDropout, FeaturesTask
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_landmarks
from groupnas.landmarks.losses import LandmarkLoss
from groupnas.landmarks.model import load_networks
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.roles import Gaze
from groupnas.landmarks.task import LandmarkTask
from groupnas.landmarks.train import train_cascade
from groupnas.onnx_tools import open_session
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import load_space

FACES = 24


pytestmark = pytest.mark.usefixtures("cached")


@pytest.fixture
def tiny(small: Path) -> dict[str, Any]:
    """The shipped recipe's stages and steps, with small networks on drawn faces; also a file."""
    for row, called in (("body", "coarse"), ("stem", "fine")):
        layers = {layer.name: layer.out_channels for layer in load_space("small_global").layers}
        content = {
            "format": 1,
            "title": "Steps of all points, small",
            "input": [3, 3],
            "groups": 68,
            "inputs": {"each": layers[row]},
            "outputs": {"each": 2},
            "act": "relu",
            "layers": [
                {"name": "hidden", "op": "linear", "c": {"each": 4}},
                {"name": "output", "op": "linear", "joint": True},
            ],
        }
        (small / f"search_spaces/{called}.yaml").write_text(yaml.safe_dump(content))
    recipe = load_recipe("gregnet:quick_together").model_dump(mode="json")
    recipe |= {"data": "synthetic", "validation": 0.25}
    recipe["stages"]["global"] |= {"space": "small_global"}
    recipe["stages"]["global"]["look"]["size"] = 24
    for name, row in (("coarse", "body"), ("fine", "stem")):
        recipe["stages"][name] |= {"space": name}
        recipe["stages"][name]["look"] |= {"at": f"global.{row}", "size": 3}
    for step in recipe["steps"].values():
        step["training"] |= {"epochs": 2, "batch_size": 8, "average": 0.5}
    (small / "strategies/recipes/tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return recipe


def apart(tiny: dict[str, Any], **changes: Any) -> Recipe:
    """Each stage in a step of its own, as gregnet:quick has them."""
    steps = load_recipe("gregnet:quick").model_dump(mode="json")["steps"]
    for step in steps.values():
        step["training"] |= {"epochs": 1, "batch_size": 8, "average": 0.5}
    tiny = json.loads(json.dumps({**tiny, "steps": steps}))
    for name, change in changes.items():
        tiny["stages"][name] |= change
    return recipe_from(tiny, "it")


def networks_of(recipe: Recipe, *stages: str) -> dict[str, GroupedNetwork]:
    networks = {}
    for number, name in enumerate(stages):
        torch.manual_seed(number)
        networks[name] = Allocation.even(load_space(recipe.stages[name].space)).build()
        for parameter in networks[name].parameters():  # outputs start at 0 otherwise
            parameter.data.uniform_(-0.3, 0.3)
    return networks


def faces_of(recipe: Recipe) -> LandmarkTask:
    look = recipe.stages["global"].look
    assert isinstance(look, Gaze)
    return load_landmarks(face_set("synthetic"), None, look, limit=FACES)


def test_what_the_paper_states_stands_in_the_recipe() -> None:
    """Su et al., section 4.3."""
    recipe = load_recipe("gregnet")
    first, second = recipe.steps.values()
    assert first.train == ("global", "coarse", "fine") and second.train == ("coarse", "fine")
    for step, epochs, rate in ((first, 3000, 0.01), (second, 1500, 0.001)):
        weights = step.training.weights
        assert (step.training.epochs, weights.name, weights.lr) == (epochs, "sgd", rate)
        assert (weights.momentum, weights.weight_decay) == (0.9, 5e-4)
        assert (weights.schedule, weights.factor, weights.patience) == ("plateau", 0.75, 200)
        low, high = step.augmentation.scale
        assert (1 / high, 1 / low) == pytest.approx((0.75, 1.2), rel=1e-3)  # of boxes, not faces
        assert step.augmentation.rotation == 30 and step.augmentation.translation == 0.1
        assert step.loss.name == "l2" and step.balance_poses
        look = recipe.stages["global"].look
        assert look.size == 112 and step.loss.unit == look.size / 2  # box units
    looks = [recipe.stages[name].look for name in ("coarse", "fine")]
    assert [(look.at, look.size) for look in looks] == [("global.res1", 5), ("global.stem", 5)]  # type: ignore[union-attr]


def test_an_error_of_a_unit_is_one() -> None:
    target = torch.zeros(2, 3, 2)
    off = torch.full_like(target, 12.0)
    assert float(LandmarkLoss("l2", unit=6.0)(off, target)) == 4
    wing = LandmarkLoss("wing")(off, target)
    torch.testing.assert_close(LandmarkLoss("wing", unit=4.0)(off, target), wing / 4)
    assert "unit" not in repr(LandmarkLoss("l2"))
    assert "unit=6.0" in repr(LandmarkLoss("l2", unit=6.0))
    with pytest.raises(InputError, match="^unit: expected pixels above 0"):
        LandmarkLoss("l2", unit=0.0)


def test_dropout_goes_on_where_it_stood() -> None:
    dropout, x = CountedDropout(0.25, seed=3), torch.ones(40, 500)
    first, second = dropout(x), dropout(x)
    assert sorted(first.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert abs(float((first == 0).float().mean()) - 0.25) < 0.01
    assert not torch.equal(first, second) and torch.equal(dropout.eval()(x), x)
    resumed = CountedDropout(0.25, seed=3)
    resumed.load_state_dict(dropout.state_dict())
    assert torch.equal(resumed(x), dropout.train()(x))
    assert not torch.equal(CountedDropout(0.25, seed=4)(x), first)


def test_each_stage_drops_units_of_its_own(tiny: dict[str, Any]) -> None:
    recipe = recipe_from(tiny, "it")
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    chain = Chain(
        networks_of(recipe, *recipe.stages), roles, ["coarse", "fine"], {"coarse": 0.5, "fine": 0.5}
    ).train()
    coarse, fine = (chain.dropouts[name](torch.ones(50)) for name in ("coarse", "fine"))
    assert not torch.equal(coarse, fine)


def test_stages_learn_from_the_worse_starts_of_one_that_is_not_trained(
    tiny: dict[str, Any],
) -> None:
    recipe = recipe_from(tiny, "it")
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    x = torch.rand(3, 3, 24, 24)

    def twice(**dropout: float) -> tuple[Tensor, Tensor]:
        networks = networks_of(recipe, *recipe.stages)
        chain = Chain(networks, roles, ["coarse", "fine"], dropout).train()
        assert not chain.networks["global-"].training
        starts = [chain.stages(x)[0]["global"] for _ in range(2)]
        located = chain.eval().stages(x)[0]["global"]  # nothing is dropped then
        torch.testing.assert_close(located, networks["global"](x).view(3, 68, 2))
        return starts[0], starts[1]

    assert torch.equal(*twice())
    first, second = twice(**{"global": 0.5})
    assert (first - second).abs().max() > 0.01


def test_a_step_with_dropout_resumes_and_keeps_the_last_stages_best_epoch(
    tiny: dict[str, Any],
) -> None:
    recipe = recipe_from(tiny, "it")
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    split = Split(torch.arange(16), torch.arange(16, FACES))
    settings = recipe.steps["refine"].training

    def trainer() -> Trainer:
        networks = networks_of(recipe, *recipe.stages)
        chain = Chain(networks, roles, ["coarse", "fine"], {"global": 0.5})
        return Trainer(chain, ChainTask(faces_of(recipe), ["coarse", "fine"]), settings, split)

    whole, killed, resumed = trainer(), trainer(), trainer()
    killed.run_epoch()
    resumed.load_state_dict(killed.state_dict())
    whole.run_epoch()
    assert resumed.run_epoch() == whole.run_epoch()
    ours, theirs = whole.state_dict()["network"], resumed.state_dict()["network"]
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert int(ours["dropouts.global-.count"]) == 4  # two batches in each of two epochs

    errors = [(5.0, 4.0), (1.0, 3.0), (2.0, 2.5)]  # the second epoch has the least mean
    whole.history = [
        {"validation": {"coarse": a, "fine": b, "mean": (a + b) / 2}} for a, b in errors
    ]
    assert whole.best_epoch == 3
    assert whole.best_epochs == {"coarse": 3, "fine": 3}


def test_a_refinement_is_a_task_behind_the_stages_before_it(tiny: dict[str, Any]) -> None:
    recipe = recipe_from(tiny, "it")
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    networks, faces = networks_of(recipe, *recipe.stages), faces_of(recipe)
    space = load_space("fine")
    before = {name: networks[name] for name in ("global", "coarse")}
    task = FeaturesTask(faces, Chain(before, roles), "fine", space)
    check_task(space, task)
    indices = torch.arange(5)
    with torch.no_grad():
        x, target = task.batch(indices)
        steps = networks["fine"].eval()(x)
        whole = Chain(networks, roles, recipe.stages).eval()
        crops, truth = faces.batch(indices)
        last = whole(crops).split(136, dim=1)[2]
    assert x.shape == (5, 68 * 8, 3, 3) and task.outputs == dict(space.outputs)
    torch.testing.assert_close(task.loss(steps, target), faces.loss(last, truth))
    errors = task.errors(steps, target)
    assert errors.shape == (5, 68)
    torch.testing.assert_close(errors.mean(dim=1, keepdim=True), faces.errors(last, truth))
    other = FeaturesTask(
        faces, Chain(networks_of(recipe, "coarse", "global"), roles), "fine", space
    )
    assert other.fingerprint() != task.fingerprint()


SEARCHES = {
    "random": {},
    "saliency": {
        "epochs": 1, "prune_epochs": 2, "tune_epochs": 1, "batch_size": 8, "validation": 0.25,
        "every": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("strategy", SEARCHES)
@pytest.mark.parametrize("total", [0.5, 1.0])
def test_hidden_channels_are_divided_among_points(
    tiny: dict[str, Any], strategy: str, total: float
) -> None:
    recipe = recipe_from(tiny, "it")
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    space = load_space("fine")
    chain = Chain(networks_of(recipe, "global", "coarse"), roles)
    task = FeaturesTask(faces_of(recipe), chain, "fine", space)
    wide = {"widen": 1.5} if strategy == "saliency" and total == 1 else {}
    changes = {**SEARCHES[strategy], **wide, "budget": {"total": total}}
    settings = load_strategy(strategy).with_settings(**changes)
    found = search(space, task, settings, "run", quiet=True).allocation
    (row,) = found.grouping.counts().values()
    sizes = list(row.values())
    assert len(sizes) == 68 and min(sizes) >= 1 and len(set(sizes)) > 1
    assert sum(sizes) == pytest.approx(total * 68 * 4, rel=0.01)


def test_a_searched_refinement_is_trained(small: Path, tiny: dict[str, Any]) -> None:
    content = (
        load_strategy("saliency").with_settings(**SEARCHES["saliency"]).model_dump(mode="json")
    )
    content |= {"widen": 1.5, "budget": {"total": 1.0}}
    (small / "strategies/brief.yaml").write_text(yaml.safe_dump(content))
    recipe = apart(tiny, fine={"grouping": "brief"})
    card = train_cascade(recipe, "run", root=None, limit=FACES)
    networks = load_networks(card)[1]
    (even,), (row,) = (
        networks[name].allocation.grouping.counts().values() for name in ("coarse", "fine")
    )
    assert set(even.values()) == {4} and len(set(row.values())) > 1
    assert sum(row.values()) == 68 * 4
    files = [Path("run", name) for name in ("model.json", "model.safetensors")]
    whole = [file.read_bytes() for file in files]
    files[0].unlink()
    train_cascade(recipe, "run", root=None, limit=FACES, resume=True)
    assert whole == [file.read_bytes() for file in files]
    assert exit_code("report", "run", "-o", "page") == 0
    # behind the global network of another run, too; and `together` it cannot be
    other = recipe.with_grouping("random")
    train_cascade(other, "again", root=None, limit=FACES, global_from="run")
    assert not Path("again/together").exists()
    plain = recipe_from(tiny, "it")
    with pytest.raises(InputError, match=r"fine.grouping: random: .*steps.together .* global, too"):
        train_cascade(plain.with_grouping("random"), "no", root=None, limit=FACES)
    assert not Path("no").exists()


@pytest.mark.parametrize(
    ("step", "dropout", "message"),
    [
        ("refine", {"globl": 0.5}, "steps.refine.dropout: did you mean 'global'"),
        ("refine", {"global": 1.0}, "steps.refine.dropout.global: input should be less than 1"),
        ("together", {"global": 0.5}, "steps.together.dropout: is for steps that go through"),
    ],
)
def test_faults_of_dropout_are_named(
    tiny: dict[str, Any], step: str, dropout: dict[str, float], message: str
) -> None:
    plain = apart(tiny).model_dump(mode="json")
    plain["steps"][step]["dropout"] = dropout
    with pytest.raises(InputError, match=f"^it: {message}"):
        recipe_from(plain, "it")


def test_all_commands_take_it(tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from groupnas.landmarks.model import load_cascade

    tiny["steps"]["refine"]["dropout"] = {"global": 0.5}
    file = Path("strategies/recipes/tiny.yaml")
    file.write_text(yaml.safe_dump(tiny, sort_keys=False))
    assert exit_code("train", "--recipe", "tiny", "--limit", str(FACES), "--out", "run") == 0
    capsys.readouterr()
    assert exit_code("eval", "--model", "run", "--data", "synthetic") == 0
    told = capsys.readouterr().out
    assert all(stage in told for stage in ("global", "coarse", "cascade"))
    data = face_set("synthetic")
    face = data.faces(Path(), "test", False)[0]
    image = data.read(face)
    Image.fromarray(image).save("face.png")
    box = [*face.points.min(axis=0), *face.points.max(axis=0)]
    sides = ",".join(f"{value:.3f}" for value in box)
    photo = ["face.png", "--model", "run", "--box", sides, "--json", "it.json"]
    assert exit_code("predict", *photo) == 0
    capsys.readouterr()
    assert exit_code("export", "run", "-o", "f.onnx", "--stage", "course") == 2
    assert "--stage course: did you mean 'coarse'?" in capsys.readouterr().err
    sheet = ["preview", "--data", "synthetic", "--recipe", "tiny", "-o", "sheet.png"]
    assert exit_code("data", *sheet) == 0
    assert exit_code("report", "run", "-o", "page") == 0
    assert Path("page/index.html").exists() and Path("sheet.png").exists()
    expected = load_cascade("run").locate(image, np.array([box]))
    (predicted,) = json.loads(Path("it.json").read_text())["faces"]
    np.testing.assert_allclose(predicted["points"], expected.points[0], atol=1e-2)
    assert list(expected.stages) == ["global", "coarse", "fine"]


def test_the_quick_networks_say_the_same_in_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    recipe = load_recipe("gregnet:quick")
    networks = {}
    for number, (name, stage) in enumerate(recipe.stages.items()):
        torch.manual_seed(number)
        networks[name] = Allocation.even(load_space(stage.space, "68")).build()
        *_, (_, last) = networks[name].layers()
        for parameter in last.parameters():  # outputs start at 0 otherwise
            parameter.data = 0.002 * torch.randn_like(parameter)
    roles = {name: stage.role for name, stage in recipe.stages.items()}
    chain = Chain(networks, roles, recipe.stages).eval()
    export_onnx(chain, tmp_path / "it.onnx", batch=1)
    x = torch.randn(1, 3, 112, 112)
    (answer,) = open_session(str(tmp_path / "it.onnx")).run(None, {"x": x.numpy()})
    with torch.no_grad():
        expected = chain(x).numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-4)
    whole, coarse, fine = np.split(expected, 3, axis=1)
    assert np.abs(coarse - whole).max() > 0.01 and np.abs(fine - coarse).max() > 0.01
