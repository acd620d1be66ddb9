"""groupnas.spaces.SearchSpace: found by name, variant or path; a value that can be kept."""

from __future__ import annotations

import copy
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import SMALL

from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.space import variant_names

PARTS = ("left_eye", "right_eye", "nose", "mouth")


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("picasso_local", (22, 22, 18, 40)),  # the first variant
        ("picasso_local:68", (22, 22, 18, 40)),
        ("picasso_local:98", (36, 36, 18, 40)),
        ("picasso_local:19", (12, 12, 6, 6)),
        ("picasso_local:29", (18, 18, 8, 12)),
        ("picasso_local:106", (38, 38, 30, 40)),
    ],
)
def test_variants_of_the_local_network(name: str, outputs: tuple[int, ...]) -> None:
    space = load_space(name)
    assert space.name == (name if ":" in name else f"{name}:68")
    assert space.groups == tuple(space.inputs) == tuple(space.outputs) == PARTS
    assert tuple(space.outputs.values()) == outputs
    assert tuple(space.inputs.values()) == (1, 1, 1, 1)
    assert space.input_size == (64, 64)
    assert space.fixed["input"] == (0, 1, 2, 3)
    assert [space.fixed["output"].count(index) for index in range(4)] == list(outputs)


def test_a_variant_can_be_an_argument() -> None:
    assert load_space("picasso_local", "98") == load_space("picasso_local:98")
    assert load_space("picasso_local", "98") != load_space("picasso_local")
    assert variant_names("picasso_local") == ["68", "98", "19", "29", "106"]


def test_published_figures_are_the_variants() -> None:
    """Table VII: 2.27 + 2.21 + 1.98 + 2.68 = 2.20 + 2.13 + 2.21 + 2.60 = 9.14 M."""
    initial, searched = load_space("picasso_local:68").published
    assert sum(initial.per_group.values()) == pytest.approx(9.14e6)
    assert sum(searched.per_group.values()) == pytest.approx(9.14e6)
    (wflw,) = load_space("picasso_local:98").published
    assert wflw.per_group["mouth"] == 2.91e6


@pytest.mark.parametrize("name", shipped_names("search_spaces"))
def test_every_shipped_space_can_be_loaded(name: str) -> None:
    for variant in variant_names(name) or [""]:
        space = load_space(name, variant or None)
        assert space.free_units and "\n" not in space.title


@pytest.mark.parametrize("name", shipped_names("search_spaces"))
def test_a_saved_space_is_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    for variant in variant_names(name) or [None]:
        space = load_space(name, variant)
        space.save(path)
        again = load_space(path)  # its variant is the file's only one
        assert replace(again, file=space.file) == space


def test_a_path_is_a_space() -> None:
    space = load_space(SMALL / "ties.yaml")
    assert space.name == "ties"
    assert space.inputs == {"a": 1, "b": 2, "c": 1}
    assert space.fixed["output"] == (0, 0, 1, 1, 1, 2)


def test_the_order_of_groups_is_that_of_groups(tmp_path: Path) -> None:
    """Not that of the keys of ``inputs`` and ``outputs``."""
    text = (SMALL / "ties.yaml").read_text()
    file = tmp_path / "other.yaml"
    file.write_text(text.replace("{a: 1, b: 2, c: 1}", "{c: 3, b: 2, a: 1}"))
    assert load_space(file).fixed["input"] == (0, 1, 1, 2, 2, 2)
    assert tuple(load_space(file).inputs) == ("a", "b", "c")


def test_the_users_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "search_spaces").mkdir()
    shutil.copy(SMALL / "plain.yaml", tmp_path / "search_spaces" / "picasso_local.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_space("picasso_local").title == "Plain convolutions"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("picaso_local", "'picaso_local' is not among the search spaces; did you mean 'picasso"),
        ("picasso_local:86", "variant '86': choose from: 106, 19, 29, 68, 98"),
        ("nowhere/ties.yaml", "nowhere/ties.yaml: no such file"),
        (f"{SMALL / 'ties.yaml'}:68", "ties.yaml: variant '68': choose from: (none)"),
    ],
)
def test_what_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_space(name)
    assert message in str(error.value)


def test_free_units_are_the_units_that_are_not_fixed(space: SearchSpace) -> None:
    assert {**space.free_units, **{unit: space.units[unit] for unit in space.fixed}} == dict(
        space.units
    )
    for unit, assignment in space.fixed.items():
        assert len(assignment) == space.units[unit]
    assert list(space.free_units) == [unit for unit in space.units if unit in space.free_units]


def test_layers_join_without_a_gap(space: SearchSpace) -> None:
    layers = space.layers
    assert layers[0].in_unit == "input" and layers[-1].out_unit == "output"
    assert layers[0].in_size == space.input_size and layers[-1].out_size == (1, 1)
    ends = {"input": ("input", space.input_size)}
    for block in space.blocks:
        end = ends[block.source]
        for layer in block.layers:
            assert (layer.in_unit, layer.in_size) == end
            end = (layer.out_unit, layer.out_size)
        ends[block.name] = end
        assert block.plus is None or ends[block.plus] == end
    for layer in layers:
        assert layer.in_channels == space.units[layer.in_unit]
        assert layer.out_channels == space.units[layer.out_unit]
        assert layer.mixes_channels or layer.in_unit == layer.out_unit


def test_a_space_is_a_value(space: SearchSpace) -> None:
    assert list(space.free_units)  # a cached property must not get in the way
    for twin in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert twin == space and twin is not space
        assert twin.free_units == space.free_units
