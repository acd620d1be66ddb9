"""Training a cascade on drawn faces, stage by stage, whatever interrupts it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groupnas.engine.observer import Observer
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks import given
from groupnas.landmarks import train as module
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_faces, load_landmarks
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import StageNetwork, load_cascade, load_networks
from groupnas.landmarks.pose import balanced_weights, pose_coefficients
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.roles import FACE_LOOK, PART_LOOK, Gaze, Role
from groupnas.landmarks.train import train_cascade
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import load_space

FACES = 40
SEARCHED = ("global", "search", "local")


class Stopped(Exception):
    """Stands for whatever ends a process."""


class Stops(Observer):
    """Ends the training after an epoch, or before the first."""

    def __init__(self, after: int) -> None:
        self.after = after

    def started(self, folder: Any, job: Any) -> None:
        if self.after == 0:
            raise Stopped

    def epoch_ended(self, record: dict[str, Any]) -> None:
        if record["epoch"] == self.after:
            raise Stopped


@pytest.fixture(autouse=True, scope="module")
def _cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Faces are drawn once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run(out: str, grouping: str = "even", **options: Any) -> Path:
    recipe = load_recipe("small").with_grouping(grouping)
    return train_cascade(recipe, out, root=None, **{"limit": FACES, **options})


def files(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir() if path.name != ".lock"}


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def model(folder: str) -> list[bytes]:
    return [Path(folder, name).read_bytes() for name in ("model.json", "model.safetensors")]


def test_all_stages_run_and_leave_their_files(small: Path) -> None:
    card = run("run", "quick")
    assert card == Path("run/model.json")
    assert files("run") == {*SEARCHED, "config.yaml", "model.json", "model.safetensors"}
    every = {"config.yaml", "split.json", "history.jsonl", "timings.jsonl", "checkpoint.pt"}
    for stage in SEARCHED:
        assert files(f"run/{stage}") >= {*every, "result.json"}, stage
    content = read("run/model.json")
    assert content["trained"]["data"] == "synthetic"
    assert content["trained"]["faces"] == FACES
    assert content["trained"]["validation_faces"] == 10
    assert content["stages"]["local"]["grouping"] == read("run/search/grouping.json")
    scores = content["scores"]["validation"]
    assert scores["faces"] == 10 and scores["split"] == "validation"

    # The card's scores are those of the model beside it, on the faces held out.
    held_out = set(read("run/global/split.json")["validation"])
    data, cascade, errors = face_set("synthetic"), load_cascade(card), []
    for face in load_faces(data, None, limit=FACES):
        if face.source in held_out:
            box = np.array([[*face.points.min(axis=0), *face.points.max(axis=0)]])
            found = cascade.locate(data.read(face), box).points[0]
            between = np.linalg.norm(face.points[36] - face.points[45])
            errors.append(100 * np.linalg.norm(found - face.points, axis=1).mean() / between)
    assert len(errors) == 10
    nme = scores["scores"]["full"]["cascade"]["nme"]
    assert nme == pytest.approx(np.mean(errors), rel=1e-2)


def test_held_out_photos_never_train_nor_search(small: Path) -> None:
    run("run", "quick")
    splits = {stage: read(f"run/{stage}/split.json") for stage in SEARCHED}
    assert splits["global"] == splits["local"]
    train, held_out = (set(splits["global"][side]) for side in ("train", "validation"))
    assert len(train) == 30 and len(held_out) == 10 and not train & held_out
    searched = [set(splits["search"][side]) for side in ("train", "validation")]
    assert searched[0] | searched[1] == train and not searched[0] & searched[1]
    # another seed validates on the same photos
    run("other", seed=3)
    assert read("other/global/split.json") == splits["global"]
    assert all(source.startswith("synthetic/train/") for source in train | held_out)


@pytest.fixture
def whole(small: Path) -> list[bytes]:
    """The model of a training that nothing interrupted."""
    run("whole", "quick", seed=1)
    torch.manual_seed(99)  # what others drew must not matter to the next
    return model("whole")


def test_stopped_in_each_stage_and_resumed(whole: list[bytes]) -> None:
    """One run that is stopped everywhere in turn."""
    for stage, after in [(stage, after) for stage in SEARCHED for after in (0, 1, 2)]:

        def observers(name: str, stage: str = stage, after: int = after) -> Sequence[Observer]:
            return [Stops(after)] if name == stage else []

        with pytest.raises(Stopped):
            run("run", "quick", seed=1, resume=Path("run").exists(), observers=observers)
        assert "model.json" not in files("run")
    run("run", "quick", seed=1, resume=True)
    assert model("run") == whole
    # and once more, when nothing is left to do
    run("run", "quick", seed=1, resume=True)
    assert model("run") == whole


@pytest.mark.parametrize(
    ("place", "times"), [("train", 0), ("search", 0), ("train", 1), ("save_cascade", 0)]
)
def test_stopped_between_stages_and_resumed(
    whole: list[bytes], place: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = getattr(module, place), []

    def stops(*arguments: Any, **options: Any) -> Any:
        calls.append(place)
        if len(calls) > times:
            raise Stopped
        return original(*arguments, **options)

    monkeypatch.setattr(module, place, stops)
    with pytest.raises(Stopped):
        run("run", "quick", seed=1)
    monkeypatch.setattr(module, place, original)
    run("run", "quick", seed=1, resume=True)
    assert model("run") == whole


def test_a_resumed_run_must_not_change(small: Path) -> None:
    run("run")
    with pytest.raises(InputError, match="started with seed = 0, not 2"):
        run("run", seed=2, resume=True)
    with pytest.raises(InputError, match="recipe.stages.local.grouping = 'even', not 'quick'"):
        run("run", "quick", resume=True)
    with pytest.raises(InputError, match="run: holds a run already"):
        run("run")
    with pytest.raises(InputError, match="none: does not exist; expected the folder of a cascade"):
        run("none", resume=True)
    # recipes that were recorded when the blend was called trust
    config = Path("run/config.yaml")
    assert "  blend: 1.0\n" in config.read_text()
    config.write_text(config.read_text().replace("blend: 1.0", "trust: 1.0"))
    run("run", resume=True)
    config.write_text("trust: 0.5".join(config.read_text().rsplit("trust: 1.0", 1)))
    with pytest.raises(InputError, match="recipe.stages.local.blend = 0.5, not 1.0"):
        run("run", resume=True)


def test_a_grouping_from_a_file_is_taken(small: Path) -> None:
    grouping = Grouping.manual(load_space("small_local:68"), {"mouth": 2.0})
    grouping.save("mine.json")
    run("run", "mine.json")
    assert load_networks("run")[1]["local"].allocation.grouping == grouping
    assert files("run") == {"global", "local", "config.yaml", "model.json", "model.safetensors"}


def test_the_global_network_of_another_run_is_taken(small: Path) -> None:
    first = run("first")
    second = run("second", global_from="first", seed=4)
    assert "global" not in files("second")
    networks = [load_networks(card)[1].values() for card in (first, second)]
    states = [[stage.module.state_dict() for stage in pair] for pair in networks]
    for name, tensor in states[0][0].items():
        assert torch.equal(tensor, states[1][0][name])
    assert any(not torch.equal(states[0][1][name], states[1][1][name]) for name in states[0][1])
    assert read("second/model.json")["trained"]["global_from"] == "first"
    with pytest.raises(InputError, match="started with global_from = 'first', not None"):
        run("second", seed=4, resume=True)


@pytest.mark.parametrize("grouping", ["mine.json", "strategies/quick.yaml"])
def test_a_run_goes_on_elsewhere_without_what_it_was_started_with(
    small: Path, grouping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Grouping.manual(load_space("small_local:68"), {"mouth": 2.0}).save("mine.json")
    run("first")
    recipe = load_recipe("small").with_grouping(grouping)

    def go_on(folder: str, **options: Any) -> None:
        train_cascade(recipe, folder, root=None, limit=FACES, global_from="first", **options)

    go_on("whole")
    with pytest.raises(Stopped):
        go_on("run", observers=lambda name: [Stops(0)])
    for gone in ("first", "mine.json", "strategies", "search_spaces"):
        Path(gone).rename(f"{gone}-gone")
    Path("elsewhere").mkdir()
    Path("run").rename("elsewhere/moved")
    monkeypatch.chdir("elsewhere")
    go_on("moved", resume=True)
    assert model("moved") == model("../whole")

    config = Path("moved/config.yaml")
    text = config.read_text()
    config.write_text(text.replace("given:", "given: 3\nothers:"))
    with pytest.raises(InputError, match="config.yaml: is damaged, or not of a cascade"):
        go_on("moved", resume=True)
    # as the first version left it
    config.write_text(text.replace("given:", "others:"))
    with pytest.raises(InputError, match="given is missing, as where another version of groupnas"):
        go_on("moved", resume=True)


def edit_recipe(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "strategies/recipes/small.yaml"
        path.write_text(path.read_text().replace(old, new))

    return edit


def write_other_grouping(folder: Path) -> None:
    Grouping.even(load_space("picasso_local")).save(folder / "other.json")


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (None, {"grouping": "quik"}, "'quik' is not among the strategies; did you mean 'quick'"),
        (None, {"grouping": "gumbel:quik"}, "gumbel.yaml: .*did you mean 'quick'"),
        (None, {"grouping": "none.json"}, "^none.json: cannot be read"),
        (write_other_grouping, {"grouping": "other.json"}, "^other.json: .*small_local"),
        (None, {"global_from": "none"}, "^none: cannot be read"),
        (None, {"device": "nonsense"}, "device 'nonsense' cannot be used here"),
        (None, {"limit": 0}, "limit must be at least 1, got 0"),
        (None, {"limit": 1}, "1 source"),
        (
            edit_recipe("small_local", "small_local:29"),
            {},
            "small_local:29 has outputs .*, 300W needs ",
        ),
        (
            edit_recipe("size: 16", "size: 32"),
            {},
            r"small_local:68 has input size \(16, 16\), 300W needs \(32, 32\)",
        ),
        (edit_recipe("small_local", "small_locl"), {}, "did you mean 'small_local'"),
        (edit_recipe("data: synthetic", "data: cofw68"), {}, "cofw68 has no split 'train'"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(
    small: Path, prepare: Callable[[Path], None] | None, options: dict[str, Any], message: str
) -> None:
    if prepare:
        prepare(small)
    with pytest.raises(InputError, match=message) as error:
        run("run", **options)
    assert "\n" not in str(error.value)
    assert not Path("run").exists()


def test_a_global_network_of_other_points_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space("picasso_global", "29")
    role = Role(look=FACE_LOOK)
    other = StageNetwork(Allocation.even(space), role, torch.nn.Identity())
    monkeypatch.setattr("groupnas.landmarks.model.load_networks", lambda _: (None, {"a": other}))
    with pytest.raises(InputError, match="^cofw: picasso_global:29 has outputs {'face': 58}, 300W"):
        run("run", global_from="cofw")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("name", "look"),
    [("picasso_global:68", FACE_LOOK), ("picasso_local:68", PART_LOOK)],
)
def test_a_fresh_network_answers_the_mean_shape(name: str, look: Gaze) -> None:
    task = load_landmarks(face_set("synthetic"), None, look, limit=6)
    start = task.mean_output()
    np.testing.assert_allclose(start.reshape(-1, 2), task.patches.points.mean(axis=0), atol=1e-6)
    space = load_space(name)
    torch.manual_seed(0)
    network = Allocation.even(space).build(start)  # in training mode, as it is first used
    x, target = task.batch(torch.arange(6))
    with torch.no_grad():
        predicted = network(x)
    assert (predicted - start).abs().max() < 0.1  # box units; the shape spans 1.5 of them
    # so that errors begin at those of the mean shape
    first, best = task.errors(predicted, target), task.errors(start.expand(6, -1), target)
    assert first.mean() < 1.2 * best.mean()


def test_every_training_starts_there(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = module.train, []

    def train(network: Any, task: Any, *arguments: Any, **options: Any) -> Any:
        x, _ = task.batch(torch.arange(8))
        with torch.no_grad():
            fresh = copy.deepcopy(network)  # BatchNorm would take notice
            seen.append((fresh(x) - task.mean_output()).abs().max().item())
        return original(network, task, *arguments, **options)

    monkeypatch.setattr(module, "train", train)
    run("run")
    run("searched", "quick", global_from="run")
    assert len(seen) == 3 and max(seen) < 0.1


def test_balancing_of_poses_reaches_the_sampler(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe balances the global stage alone."""
    original, seen = module.train, []

    def train(*arguments: Any, **options: Any) -> Any:
        seen.append((options["sampling"], options["split"]))
        return original(*arguments, **options)

    monkeypatch.setattr(module, "train", train)
    run("run")
    (sampling, split), (none, _) = seen
    assert none is None
    faces = load_faces(face_set("synthetic"), None, limit=FACES)
    points = np.stack([faces[index].points for index in split.train.tolist()])
    expected = balanced_weights(pose_coefficients(points))
    np.testing.assert_allclose(sampling, expected)
    assert len(sampling) == 30 and np.ptp(expected) > 0


def test_the_search_may_leave_its_weights(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``inherit`` starts the training where the search ended, else it starts anew."""
    seen: list[dict[str, torch.Tensor]] = []
    original, search = module.train, module.search

    def train(network: Any, task: Any, settings: Any, folder: Path, **options: Any) -> Any:
        if folder.name == "local":
            seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return original(network, task, settings, folder, **options)

    def searching(*arguments: Any, **options: Any) -> Any:
        found = search(*arguments, **options)
        seen.append({k: v.clone() for k, v in found.network().state_dict().items()})
        return found

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "search", searching)
    plain = load_recipe("small:once").with_grouping("quick")
    for inherit in (True, False):
        train_cascade(
            plain.with_stage("local", inherit=inherit), f"{inherit}", root=None, limit=FACES
        )
    same = [
        all(torch.equal(found[name], start[name]) for name in found)
        for found, start in (seen[:2], seen[2:])
    ]
    assert same == [True, False]


def test_the_callers_draws_are_left_alone(small: Path) -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    run("run", limit=20)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_grouping_is_a_file_or_a_strategy_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "run=3").mkdir()
    file = tmp_path / "run=3/g.json"
    Grouping.even(load_space("picasso_local")).save(file)
    recipe, markup = load_recipe("synthetic"), MARKUPS[68]
    found = given.gather(recipe.with_grouping(str(file)), markup, None, 0)["local"]
    assert found.grouping == Grouping.load(file) and found.strategy is None
    found = given.gather(recipe.with_grouping(f"manual={file}"), markup, None, 0)["local"]
    assert found.grouping is None and found.strategy is not None
    assert found.strategy.model_dump()["file"] == str(file)
    for wrong, told in (("manual=none.json", "none.json: cannot"), ("manual=noes:2", "'noes'")):
        with pytest.raises(InputError, match=told):
            given.gather(recipe.with_grouping(wrong), markup, None, 0)
