"""Model files: the same cascade comes back, or one line says which file is at fault."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from groupnas.errors import InputError
from groupnas.files import find_shipped
from groupnas.grouping import Grouping
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import (
    StageNetwork,
    load_cascade,
    load_networks,
    make_cascade,
    markup_space,
    save_cascade,
)
from groupnas.landmarks.roles import FACE_LOOK, PART_LOOK, Gaze, Role
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import load_space

IMAGE = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
BOXES = np.array([[20.0, 10, 90, 85], [5, 5, 40, 50]])
FACE, PARTS = FACE_LOOK, PART_LOOK
LOOKS = replace(FACE, size=24), replace(PARTS, size=16)


def network_of(
    name: str, look: Gaze, seed: int, variant: str | None = None, blend: float = 1.0
) -> StageNetwork:
    """Weights, BatchNorm statistics and a grouping that are nobody's default."""
    space = load_space(name, variant)
    allocation = Allocation(space, Grouping.random(space, seed))
    torch.manual_seed(seed)
    module = allocation.build()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.1 + 0.05)
    return StageNetwork(allocation, Role(look=look, blend=blend), module.eval())


def networks(seed: int = 0) -> dict[str, StageNetwork]:
    return {
        "global": network_of("small_global", LOOKS[0], seed),
        "local": network_of("small_local", LOOKS[1], seed + 1, "68", 0.75),
    }


def save(path: Path, seed: int = 0) -> Path:
    return save_cascade(
        path,
        networks(seed),
        markup=MARKUPS[68],
        box="landmarks",
        trained={"data": "drawn", "faces": 7},
        scores={"validation": {"nme": 3.25}},
    )


@pytest.fixture
def card(small: Path) -> Path:
    return save(small / "model.json")


def test_the_same_cascade_comes_back(card: Path) -> None:
    before = make_cascade(MARKUPS[68], "landmarks", networks(), {}).locate(IMAGE, BOXES)
    for path in (card, card.parent, str(card)):
        cascade = load_cascade(path)
        after = cascade.locate(IMAGE, BOXES)
        np.testing.assert_array_equal(after.points, before.points)
        np.testing.assert_array_equal(after.initial, before.initial)
    assert cascade.markup is MARKUPS[68] and cascade.box == "landmarks"
    assert not cascade.stages["global"].network.training
    assert np.ptp(after.points) > 1


def test_saving_what_was_loaded_changes_nothing(card: Path) -> None:
    loaded, stages = load_networks(card)
    again = save_cascade(
        card.with_name("again.json"),
        stages,
        markup=MARKUPS[loaded.points],
        box=loaded.box,
        trained=loaded.trained,
        scores=loaded.scores,
    )
    assert again.read_bytes() == card.read_bytes()
    weights = [path.with_suffix(".safetensors").read_bytes() for path in (again, card)]
    assert weights[0] == weights[1]


def test_a_person_can_read_the_card(card: Path) -> None:
    text = card.read_text()
    assert text.count("\n") > 40
    content = json.loads(text)
    assert content["kind"] == "cascade" and content["points"] == 68
    assert content["trained"] == {"data": "drawn", "faces": 7}
    assert content["scores"] == {"validation": {"nme": 3.25}}
    local = content["stages"]["local"]
    assert (local["name"], local["variant"]) == ("small_local", "68")
    assert local["space"]["layers"][0] == {"name": "stem", "op": "conv3x3", "c": 8, "s": 2}
    crops = {"margin": 1.3, "size": 16, "colour": False, "cover": 1.4}
    assert local["look"] == {
        "frame": "extents",
        "fit": None,
        "contour": 0,
        "mirrored": None,
        **crops,
    }
    assert local["answer"] == {"name": "points"} and local["blend"] == 0.75
    assert set(local["grouping"]["units"]) == set(load_space("small_local:68").free_units)
    assert load_cascade(card).card == content


def test_a_card_that_calls_the_blend_trust_is_read(card: Path) -> None:
    text = card.read_text()
    assert '"blend": 0.75' in text and "trust" not in text
    card.write_text(text.replace('"blend"', '"trust"'))
    cascade = load_cascade(card)
    assert cascade.stages["local"].role.blend == 0.75 and cascade.card == json.loads(text)


def test_no_space_file_is_needed(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card holds both spaces in full: here they are known by names that exist nowhere."""
    expected = load_cascade(card).locate(IMAGE, BOXES).points
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "own.json").write_text(
        card.read_text().replace("small_local", "nowhere").replace("small_global", "nothing")
    )
    (empty / "own.safetensors").write_bytes(card.with_suffix(".safetensors").read_bytes())
    monkeypatch.chdir(empty)
    cascade = load_cascade("own.json")
    np.testing.assert_array_equal(cascade.locate(IMAGE, BOXES).points, expected)


@pytest.mark.parametrize("default_dtype", [torch.float64], indirect=True)
def test_it_answers_the_same_under_another_default_dtype(card: Path, default_dtype: Any) -> None:
    found = load_cascade(card).locate(IMAGE, BOXES).points
    torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(found, load_cascade(card).locate(IMAGE, BOXES).points, atol=1e-4)


def test_networks_may_be_of_float64(card: Path) -> None:
    cascade = load_cascade(card)
    expected = cascade.locate(IMAGE, BOXES).points
    for stage in cascade.stages.values():
        stage.network.double()
    np.testing.assert_allclose(cascade.locate(IMAGE, BOXES).points, expected, atol=1e-3)


def test_shipped_spaces_are_held_in_full(small: Path) -> None:
    """Branches, ties and published figures survive the way through the card."""
    networks = {
        "global": network_of("picasso_global", FACE, 0, "98"),
        "local": network_of("picasso_local", PARTS, 1, "98"),
    }
    path = save_cascade(
        small / "shipped.json",
        networks,
        markup=MARKUPS[98],
        box="listed",
        trained={},
        scores={},
    )
    _, loaded = load_networks(path)
    for network, again in zip(networks.values(), loaded.values(), strict=True):
        assert again.role == network.role
        assert again.allocation.space == network.allocation.space
        assert again.allocation.grouping == network.allocation.grouping
    assert load_cascade(path).locate(IMAGE, BOXES).points.shape == (2, 98, 2)


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(card: Path) -> None:
        content = json.loads(card.read_text())
        change(content)
        card.write_text(json.dumps(content))

    return damage


def flip_a_bit(card: Path) -> None:
    path = card.with_suffix(".safetensors")
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def cut_weights(card: Path) -> None:
    path = card.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:1000])


def swap_weights(card: Path) -> None:
    other = save(card.with_name("other.json"), seed=5)
    other.with_suffix(".safetensors").replace(card.with_suffix(".safetensors"))


def other_tensors(card: Path) -> None:
    """Weights whose hash the card does name, but of another network."""
    import hashlib

    path = card.with_suffix(".safetensors")
    tensors = load_file(path)
    del tensors[next(name for name in tensors if name.endswith("0.weight"))]
    save_file(tensors, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(lambda content: content.update(weights=digest))(card)


def no_safetensors(card: Path) -> None:
    import hashlib

    path = card.with_suffix(".safetensors")
    path.write_bytes(b"hello" * 100)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(lambda content: content.update(weights=digest))(card)


def pickled(card: Path) -> None:
    card.write_bytes(pickle.dumps(Bomb()))


class Bomb:
    """Creates a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("exploded", "w")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda card: card.unlink(), "model.json: cannot be read"),
        (lambda card: card.with_suffix(".safetensors").unlink(), "model.safetensors: cannot be"),
        (lambda card: card.write_text("{"), "model.json:1: is not JSON"),
        (lambda card: card.write_text("[" * 100000), "model.json: is not JSON"),
        (lambda card: card.write_text("[]"), "model.json: file: "),
        (pickled, "model.json: "),
        (flip_a_bit, "model.safetensors: is damaged, or not the weights that the card"),
        (cut_weights, "model.safetensors: is damaged"),
        (swap_weights, "model.safetensors: is damaged, or not the weights that the card"),
        (other_tensors, "model.json: the weights are not of this network"),
        (no_safetensors, "model.safetensors: is not a safetensors file"),
        (edit(lambda c: c.update(points=70)), "model.json: points.*expected one of 19, 29, 68"),
        (edit(lambda c: c.update(points=98)), "model.json: .*WFLW needs"),
        (edit(lambda c: c.update(box="face")), "model.json: box: "),
        (edit(lambda c: c.update(format=3)), "model.json: format: "),
        (edit(lambda c: c.update(extra=1)), "model.json: extra: unknown key"),
        (edit(lambda c: c.pop("weights")), "model.json: weights: missing"),
        (
            edit(lambda c: c["stages"]["local"]["look"].update(size=0)),
            "model.json: stages.local.look.size: ",
        ),
        (
            edit(lambda c: c["stages"]["local"]["look"].update(size=32)),
            r"model.json: .*input size \(16, 16\), 300W needs \(32, 32\)",
        ),
        (
            edit(lambda c: c["stages"]["global"]["look"].update(colour=False)),
            "model.json: .*has inputs {'face': 3}, 300W needs {'face': 1}",
        ),
        (
            edit(lambda c: c["stages"]["local"]["grouping"]["units"].popitem()),
            "model.json: .*units",
        ),
        (edit(lambda c: c["stages"]["local"].update(grouping={})), "model.json: .*keys"),
        (
            edit(lambda c: c["stages"]["local"]["space"]["layers"][0].update(op="conv9")),
            "model.json: stages.local.space",
        ),
        (
            edit(lambda c: c["stages"]["local"].update(variant="29")),
            "model.json: .*",
        ),
        (
            edit(lambda c: c["stages"].update(local=c["stages"]["global"])),
            "model.json: .*",
        ),
        (
            edit(lambda c: c["stages"].pop("global")),
            "model.json: stages.local.look.frame: there are no points yet",
        ),
        (edit(lambda c: c["stages"].clear()), "model.json: stages: "),
        (edit(lambda c: c["stages"].update(Up=c["stages"]["local"])), "model.json: stages.Up"),
        (
            edit(lambda c: c["stages"].update(points=c["stages"]["local"])),
            "model.json: stages.points: means something else",
        ),
        (
            edit(lambda c: c["stages"]["global"].update(blend=0.5)),
            "model.json: stages.global.blend: there is nothing yet",
        ),
        (
            edit(lambda c: c["stages"]["local"].update(answer="maps")),
            "model.json: stages.local.answer.name: 'maps' is no answer; choose from: heatmaps",
        ),
    ],
)
def test_one_line_names_the_file_at_fault(
    card: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(card)
    with pytest.raises(InputError, match=f"^[^:]*/{message}") as error:
        load_cascade(card)
    assert "\n" not in str(error.value)
    assert not Path("exploded").exists()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run; expected the folder of a cascade"):
        load_cascade(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(small: Path) -> None:
    (small / "file").write_text("")
    with pytest.raises(InputError, match="file/model.* cannot be written"):
        save(small / "file/model.json")


def test_the_markup_picks_a_variant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces/a:b.yaml").write_text(
        find_shipped("search_spaces", "picasso_local").read_text()
    )
    for name in ("picasso_local", "a:b"):
        assert markup_space(name, MARKUPS[98]).variant == "98"
        assert markup_space(f"{name}:68", MARKUPS[98]).variant == "68"
