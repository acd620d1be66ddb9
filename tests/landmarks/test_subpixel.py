"""Heatmaps as a stage's answer: spaces, tasks, frames, cascades, and the recipe that ships."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import exit_code
from torch import Tensor, nn

from groupnas import check_task
from groupnas.errors import InputError
from groupnas.landmarks.answers import HeatmapsAnswer
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.comparing import FaceData, InCascade
from groupnas.landmarks.crops import all_parts, whole_face
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.heatmap_task import HeatmapTask
from groupnas.landmarks.heatmaps import cross_entropy, gaussians, squared, to_cells
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.mirrored import mirror_points
from groupnas.landmarks.model import check_stages, load_cascade, load_networks
from groupnas.landmarks.pointing import pointing
from groupnas.landmarks.recipe import load_recipe, recipe_from
from groupnas.landmarks.roles import REFERENCE, Gaze, Role
from groupnas.landmarks.sources import Photos
from groupnas.landmarks.stage_task import load_stage
from groupnas.landmarks.task import LandmarkTask
from groupnas.schema import merged
from groupnas.spaces import load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import variant_names
from groupnas.tasks import find_dataset

MARKUP = MARKUPS[68]
PARTS = all_parts(MARKUP)
FACES = 24
LOOK = Gaze(frame="box", margin=1.15, size=24, colour=True)
TURNED = Gaze(frame="five_points", margin=1.3, size=24, colour=True)


pytestmark = pytest.mark.usefixtures("cached")


@pytest.mark.parametrize("name", ["subpixel", "subpixel_quick"])
def test_markups_pick_the_maps(name: str) -> None:
    assert set(variant_names(name)) == {str(points) for points in MARKUPS}
    for points, markup in MARKUPS.items():
        space = load_space(name, str(points))
        side = space.input_size[0]
        assert space.output_size == (side // 4, side // 4)
        look = Gaze(frame="five_points", margin=1.3, size=side, colour=True)
        check_stages({"a": space}, {"a": Role(look=look, answer=HeatmapsAnswer())}, markup)


def test_the_papers_own_network_is_a_stage_of_one_group() -> None:
    space, markup = load_space("subpixel_heads:sdd"), MARKUPS[106]
    look = Gaze(frame="box", margin=1.3, size=192, colour=True)
    check_stages({"a": space}, {"a": Role(look=look, answer=HeatmapsAnswer())}, markup)
    assert look.groups(markup, space.groups) == whole_face(markup)


def task_of(look: Gaze = LOOK, **answer: Any) -> HeatmapTask:
    role = Role(look=look, answer=HeatmapsAnswer(**answer))
    augmentation = Augmentation(rotation=10, erase=0.5)
    task = load_stage(
        face_set("synthetic"),
        None,
        role,
        load_space("small_maps"),
        augmentation=augmentation,
        limit=FACES,
    )
    assert isinstance(task, HeatmapTask)
    return task


def test_a_task_of_maps_does_what_tasks_do(small: Path) -> None:
    task = task_of()
    check_task(load_space("small_maps"), task)
    assert task.inputs == {"shared": 3} and task.output_size == (12, 12)
    assert task.outputs == {part: len(points) for part, points in PARTS.parts.items()}
    assert task.mean_output() is None
    answers: list[dict[str, Any]] = [{}, {"sigma": 1}, {"blur": 1}]
    prints = {task_of(**answer).fingerprint() for answer in answers}
    assert len(prints) == 3 and task.fingerprint() in prints


def test_maps_that_are_right_have_no_error(small: Path) -> None:
    """In the order of the groups, of faces that are mirrored and turned, too."""
    task = task_of(replace(LOOK, margin=1.6), loss="squared", sigma=1.5)
    for generator in (None, torch.Generator().manual_seed(1)):
        _, target = task.batch(torch.arange(FACES), generator)
        pairs = target.points.unflatten(1, (-1, 2))
        maps = gaussians(to_cells(pairs, (12, 12)), 1.5, (12, 12))
        assert task.errors(maps, target).shape == (FACES, 5)
        assert float(task.loss(maps, target)) == 0
        inside = (to_cells(pairs, (12, 12)) > 0.5) & (to_cells(pairs, (12, 12)) < 10.5)
        parts = inside.flatten(1).split([2 * n for n in task.outputs.values()], dim=1)
        known = torch.stack([part.all(dim=1) for part in parts], dim=1)  # on the rim tops stay
        assert known.any(dim=0).all() and known.float().mean() > 0.5
        assert task.errors(maps, target)[known].max() < 0.01
        wrong = maps.roll(2, dims=-1)  # two cells of 12 to the right are a third of a unit
        off = task.errors(wrong, target)[:, 2] / target.percent[:, 0]
        assert off.median() == pytest.approx(2 * 2 / 12, rel=1e-3)


def test_without_augmentation_points_are_where_the_face_has_them(small: Path) -> None:
    task, faces = task_of(), load_faces(face_set("synthetic"), None, limit=FACES)
    _, target = task.batch(torch.arange(FACES))
    for face, found in zip(faces, target.points.unflatten(1, (-1, 2)), strict=True):
        low, high = face.points.min(axis=0), face.points.max(axis=0)
        half = (high - low).max() * 1.15 / 2
        expected = (face.points[list(PARTS.part_points)] - (low + high) / 2) / half
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "function"), [("squared", squared), ("cross_entropy", cross_entropy)]
)
def test_losses_are_over_the_maps(
    small: Path, loss: str, function: Callable[[Tensor, Tensor, float], Tensor]
) -> None:
    task = task_of(loss=loss, sigma=1.25)
    _, target = task.batch(torch.arange(4))
    maps = torch.randn(4, 68, 12, 12, generator=torch.Generator().manual_seed(0))
    cells = (target.points.unflatten(1, (-1, 2)) + 1) * 6 - 0.5
    assert float(task.loss(maps, target)) == pytest.approx(float(function(maps, cells, 1.25)))


def test_a_point_beyond_the_map_asks_for_its_rim(small: Path) -> None:
    task = task_of(sigma=1.0)
    _, target = task.batch(torch.arange(1))
    outside = replace(target, points=target.points.clone())
    outside.points[:, :2] = torch.tensor([1.4, -0.5])  # cells (13.9, 2.5)
    maps = torch.zeros(1, 68, 12, 12, requires_grad=True)
    task.loss(maps, outside).backward()
    assert maps.grad is not None
    lowest = maps.grad[0, 0].flatten().argsort()[:2]  # what is asked for
    assert sorted(divmod(int(cell), 12) for cell in lowest) == [(2, 11), (3, 11)]


def test_points_by_parts_share_the_face_too(small: Path) -> None:
    """Numbers instead of maps: the same groups, behind a trunk that all have."""
    groups = LandmarkTask("x", task_of().patches, groups=PARTS)
    assert groups.inputs == {"shared": 3} and sum(groups.outputs.values()) == 136
    _, target = groups.batch(torch.arange(3), torch.Generator().manual_seed(0))
    assert groups.errors(target.points, target).abs().max() == 0
    moved = target.points.clone()
    moved[:, 2 * 22 : 2 * 31 : 2] += 0.1  # the nose, along x
    off = groups.errors(moved, target) / target.percent
    np.testing.assert_allclose(off, [[0, 0, 0.1, 0, 0]] * 3, atol=1e-6)


class Says(nn.Module):
    """Maps with their tops where it is told, whatever it sees."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points = nn.Parameter(points)

    def forward(self, crops: Tensor) -> Tensor:
        maps = gaussians(to_cells(self.points, (12, 12)), 1.5, (12, 12)).clamp(min=1e-30).log()
        return maps.expand(len(crops), -1, -1, -1)


def test_a_cascade_reads_maps_in_the_order_of_landmarks() -> None:
    draw = np.random.default_rng(2)
    shape = draw.uniform(-0.7, 0.7, (68, 2))
    role = Role(look=LOOK, answer="heatmaps")  # type: ignore[arg-type]
    network = Says(torch.from_numpy(shape[list(PARTS.part_points)]).float())
    stage = Stage(pointing(network, role, PARTS, whole_face(MARKUP)), MARKUP, role)
    cascade = Cascade(MARKUP, {"global": stage}, "landmarks", {})
    image = draw.integers(0, 256, (90, 80, 3), dtype=np.uint8)
    found = cascade.locate(image, np.array([[20.0, 15, 60, 70]])).points[0]
    np.testing.assert_allclose(found, [40, 42.5] + shape * 55 * 1.15 / 2, atol=1e-3)


def test_mirrored_faces_have_mirrored_points(small: Path) -> None:
    torch.manual_seed(0)
    role = Role(look=replace(LOOK, mirrored="averaged"), answer=HeatmapsAnswer(decode="taylor"))
    network = Allocation.even(load_space("small_maps")).build().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    both = pointing(network, role, PARTS, whole_face(MARKUP)).eval()
    crops = torch.randn(2, 3, 24, 24)
    expected = mirror_points(both(crops), whole_face(MARKUP))
    torch.testing.assert_close(both(crops.flip(-1)), expected, atol=1e-5, rtol=0)
    once = pointing(network, role.model_copy(update={"look": LOOK}), PARTS, whole_face(MARKUP))
    assert (once(crops) - both(crops)).abs().max() > 0.01
    assert pointing(network, Role(look=LOOK), whole_face(MARKUP), whole_face(MARKUP)) is network


def test_training_looks_where_locating_looks(small: Path) -> None:
    """Of true points, the crop of a sample is the crop that the stage would be shown."""
    task = task_of(TURNED)
    crops, target = task.batch(torch.arange(3))
    data = face_set("synthetic")
    for number, face in enumerate(load_faces(data, None, limit=FACES)[:3]):
        box = np.array([[*face.points.min(axis=0), *face.points.max(axis=0)]])
        frame = TURNED.frames(box, face.points[None], MARKUP)
        seen = Photos([data.read(face)]).cut(frame, TURNED, torch.device("cpu"))
        likeness = torch.corrcoef(torch.stack([seen.flatten(), crops[number].flatten()]))[0, 1]
        assert likeness > 0.97
        expected = frame.of([0] * 68).into(face.points[None])[0, list(PARTS.part_points)]
        np.testing.assert_allclose(target.points[number].view(-1, 2), expected, atol=1e-5)
        eyes = [(expected[6] + expected[9]) / 2, (expected[17] + expected[20]) / 2]
        assert np.abs(np.array(eyes) * 1.3 - REFERENCE[:2]).max() < 0.15


# -- cascades ------------------------------------------------------------------------------------


def test_it_is_trained_saved_and_read_back(trained_maps: Path) -> None:
    card = json.loads((trained_maps / "model.json").read_text())
    stage = card["stages"]["global"]
    assert stage["answer"]["name"] == "heatmaps" and stage["answer"]["sigma"] == 1.5
    assert stage["look"]["mirrored"] == "averaged" and stage["look"]["frame"] == "five_points"
    parts = card["scores"]["validation"]["scores"]["full"]["cascade"]["parts"]
    assert set(parts) == {*PARTS.parts}
    history = (trained_maps / "global/history.jsonl").read_text()
    records = [json.loads(line) for line in history.splitlines()]
    assert set(records[-1]["validation"]) == {*PARTS.parts, "mean"}
    assert records[-1]["train_loss"] < records[0]["train_loss"]

    cascade = load_cascade(trained_maps)
    grey, points = draw_face(5)
    image = np.stack([grey] * 3, axis=-1)
    box = np.array([[*points.min(axis=0), *points.max(axis=0)]])
    one, many = cascade.locate(image, box), cascade.locate(image, np.repeat(box, 2, axis=0))
    assert [*one.stages] == ["five", "global"]
    np.testing.assert_allclose(many.points[1], one.points[0], atol=0.01)
    assert np.abs(one.points - one.initial).max() > 0.5
    # by hand: the crop at the frame of the first stage's points, the highest cells
    stage_ = cascade.stages["global"]
    frame = stage_.frames(Photos([image]), box, one.initial)
    answers = stage_.network(stage_.see(Photos([image]), frame)).detach().view(68, 2).numpy()
    placed = answers @ frame.linear[0, 0].T + frame.origin[0, 0]
    np.testing.assert_allclose(one.points[0], placed, atol=1e-3)


def test_decodings_are_compared_on_one_model(trained_maps: Path, tmp_path: Path) -> None:
    """What reads the maps stands in the card, and may be changed there."""
    grey, points = draw_face(7)
    image, box = np.stack([grey] * 3, axis=-1), [*points.min(axis=0), *points.max(axis=0)]
    shutil.copy(trained_maps / "model.safetensors", tmp_path)
    found = {}
    for decode in ("taylor", "quarter", "argmax"):
        card = json.loads((trained_maps / "model.json").read_text())
        card["stages"]["global"]["answer"]["decode"] = decode
        card["stages"]["global"]["look"]["mirrored"] = None
        (tmp_path / "model.json").write_text(json.dumps(card))
        cascade = load_cascade(tmp_path)
        located = cascade.locate(image, np.array([box]))
        frame = TURNED.frames(np.array([box]), located.initial, MARKUP)
        units = frame.of([0] * 68).into(located.points)[0]
        found[decode] = (units + 1) * 6 - 0.5  # in cells
    np.testing.assert_allclose(found["argmax"], found["argmax"].round(), atol=1e-3)
    steps = np.abs(found["quarter"] - found["argmax"])
    assert np.isclose(steps, 0.25, atol=1e-3).any()
    np.testing.assert_allclose(steps * (steps - 0.25), 0, atol=1e-3)
    off = np.abs(found["taylor"] - found["argmax"])
    assert 0.05 < off.max() <= 1.001


def test_the_command_trains_what_ships(
    copy_300w: Callable[[], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``groupnas train --recipe subpixel:quick``, on drawn faces in 300W's place, and so on."""
    root, out = str(copy_300w()), str(tmp_path / "run")
    where = ["--data-root", root]
    train = ["train", "--recipe", "subpixel:quick", *where, "--epochs", "1", "--out", out]
    assert exit_code(*train) == 0
    assert exit_code("eval", "--model", out, *where, "--data", "300w") == 0
    photo = f"{root}/300w/helen/testset/31_1.jpg"
    predict = ["--model", out, "--box", "40,40,120,120", "--json", f"{tmp_path}/points.json"]
    assert exit_code("predict", photo, *predict) == 0
    assert len(json.loads((tmp_path / "points.json").read_text())) > 0
    printed = capsys.readouterr().out
    assert "contour" in printed and "cascade" in printed and "five" in printed
    assert load_cascade(out).stages["global"].role.look.size == 128


def test_what_the_paper_states_stands_in_the_recipe() -> None:
    """Earp et al., sections 3.3 and 5.1."""
    recipe = load_recipe("subpixel")
    step, stage = recipe.steps["global"], recipe.stages["global"]
    training, weights = step.training, step.training.weights
    assert (weights.name, weights.lr) == ("adam", 0.001)
    assert (training.epochs, training.batch_size) == (40, 16)
    assert [share * training.epochs for share in weights.milestones] == [20, 30]
    assert (weights.schedule, weights.factor) == ("steps", 0.1)
    drawn = step.augmentation
    assert (drawn.brightness, drawn.contrast, drawn.saturation, drawn.pca) == (0.4, 0.4, 0.4, 0.05)
    assert (drawn.rotation, drawn.flip) == (15, 0.5) and drawn.erase > 0
    assert isinstance(stage.look, Gaze)
    assert (stage.look.size, stage.look.mirrored, stage.look.fit) == (192, "averaged", "affine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"look": {"frame": "extents"}}, "stages.global.answer: heatmaps are of the whole face"),
        ({"look": {"frame": "box", "fit": "affine"}}, "fit: is of five_points, and frame is box"),
        ({"answer": {"name": "heatmaps", "sigma": 0}}, "sigma"),
        ({"answer": {"name": "heatmaps", "decode": "best"}}, "decode"),
        ({"answer": "heatmap"}, "'heatmap' is no answer; did you mean 'heatmaps'"),
    ],
)
def test_what_a_recipe_cannot_ask_for(changes: dict[str, Any], message: str) -> None:
    recipe = load_recipe(Path(__file__).parent / "small/maps.yaml").model_dump(mode="json")
    recipe["stages"]["global"] = merged(recipe["stages"]["global"], changes)
    with pytest.raises(InputError, match=message):
        recipe_from(recipe, "recipe")


def test_other_refusals(small: Path) -> None:
    recipe = load_recipe("maps").model_dump(mode="json")
    recipe["steps"]["global"]["loss"] = {"name": "l1"}
    with pytest.raises(InputError, match=r"steps.global.loss: is of points; .* answer.loss"):
        recipe_from(recipe, "recipe")
    recipe = load_recipe("maps").model_dump(mode="json")
    recipe["stages"]["five"]["look"] = {**recipe["stages"]["global"]["look"]}
    with pytest.raises(InputError, match=r"stages.five.look.frame: .*; expected box, got five_p"):
        recipe_from(recipe, "recipe")
    numbers, maps = load_space("small_global"), load_space("small_maps")
    role, look = Role(look=LOOK, answer=HeatmapsAnswer()), LOOK
    with pytest.raises(InputError, match=r"small_global has outputs .*'face': 136.* needs .*68"):
        check_stages({"a": numbers}, {"a": role}, MARKUP)
    with pytest.raises(InputError, match=r"small_maps has outputs .*'left_eye': 11.* needs .*22"):
        check_stages({"a": maps}, {"a": Role(look=look)}, MARKUP)


def test_networks_of_maps_are_compared_in_their_cascade(small: Path, trained_maps: Path) -> None:
    """The network that was trained scores there what its card says, part by part."""
    data = FaceData(recipe=load_recipe("maps"), root=None, limit=FACES)
    assert isinstance(data(), HeatmapTask)
    card, networks = load_networks(trained_maps)
    score = InCascade(model=trained_maps, data=data, split="validation")()
    found = score(networks["global"].module.eval())
    assert found.groups == tuple(PARTS.parts)
    told = card.scores["validation"]["scores"]["full"]["cascade"]["parts"]
    for number, part in enumerate(found.groups):
        assert found.errors[:, number].mean() == pytest.approx(told[part], rel=1e-3)


def test_a_search_learns_from_what_a_recipe_shows(small: Path) -> None:
    """``groupnas search --space small_maps --data synthetic:maps``: the head is divided anew."""
    given = ["--space", "small_maps", "--data", "synthetic:maps", "--limit", "16"]
    done = exit_code("search", *given, "--strategy", "quick", "--out", "found")
    assert done == 0
    result = json.loads(Path("found/result.json").read_text())
    assert set(result["validation_errors"]["derived"]) >= set(PARTS.parts)
    task = find_dataset("synthetic:maps").load(root=None, limit=2)
    assert isinstance(task, HeatmapTask) and task.augmentation.rotation == 10
    assert task.patches.settings == TURNED
    with pytest.raises(InputError, match="^synthetic:nothing: .*nothing"):
        find_dataset("synthetic:nothing")
