"""A grouping and the space that it fits, found again from any file that groupnas wrote."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

import groupnas as gn
from groupnas.budget import fit
from groupnas.errors import InputError

SPACE = gn.load_space("picasso_local")
EVEN = gn.Grouping.even(SPACE)
OWN = Path(__file__).parents[2] / "examples/three_parts.yaml"


def test_the_space_takes_the_groupings_widths() -> None:
    counts = EVEN.counts()
    counts["stem"] = {"left_eye": 9, "right_eye": 6, "nose": 6, "mouth": 10}
    found = gn.Allocation.from_counts(SPACE, counts)
    assert found.space.units == {**SPACE.units, "stem": 31}
    assert found.grouping.counts() == counts
    assert gn.Allocation(SPACE, found.grouping) == found
    assert gn.Allocation(found.space, EVEN).space.units == SPACE.units


def test_the_space_stays_itself_where_it_fits() -> None:
    assert gn.Allocation(SPACE, EVEN).space is SPACE
    assert gn.Allocation.from_counts(SPACE, EVEN.counts()).space is SPACE


def test_widths_are_counts_by_group() -> None:
    counts = gn.Grouping.random_sizes(SPACE, 1).counts()
    widths = {g: {unit: row[g] for unit, row in counts.items()} for g in SPACE.groups}
    assert gn.Allocation.from_widths(SPACE, widths) == gn.Allocation.from_counts(SPACE, counts)


def test_costs_and_network_are_those_of_the_widths() -> None:
    half = fit(SPACE, EVEN.counts(), gn.Budget(total=0.5))
    weights = sum(weight.numel() for weight in half.build().parameters())
    assert sum(half.costs("params").values()) == weights == gn.flops(half).total_params
    assert half.costs() == gn.flops(half).per_group


def test_equal_ones_hash_and_copy_alike() -> None:
    one = gn.Allocation.even(SPACE)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert other == one and hash(other) == hash(one)
    assert one != gn.Allocation(SPACE, gn.Grouping.random(SPACE, 1))


def test_a_grouping_of_another_space_is_refused() -> None:
    other = gn.Grouping.even(gn.load_space(OWN))
    with pytest.raises(InputError, match="grouping has groups disc, square, ring"):
        gn.Allocation(SPACE, other)


# -- files --------------------------------------------------------------------------------------


def test_a_file_beside_nothing_is_of_the_space_of_its_name(tmp_path: Path) -> None:
    half = fit(SPACE, EVEN.counts(), gn.Budget(total=0.5))
    half.save(tmp_path / "g.json")
    assert gn.Allocation.load(tmp_path / "g.json") == half
    assert gn.Allocation.load(tmp_path / "g.json", SPACE) == half


def test_a_runs_files_are_of_its_own_space(tmp_path: Path, shapes: Any) -> None:
    (tmp_path / "mine.yaml").write_text(OWN.read_text())
    space = gn.load_space(tmp_path / "mine.yaml")
    strategy = gn.load_strategy("random").with_budget(gn.Budget(total=0.7, tolerance=0.05))
    run = gn.search(space, shapes, strategy, tmp_path / "run", quiet=True)
    (tmp_path / "mine.yaml").unlink()  # nobody else knows it
    assert gn.Allocation.load(run.folder / "grouping.json") == run.allocation
    assert run.allocation.space.units != space.units
    start = gn.Allocation.load(run.folder / "initial_grouping.json")
    assert (start.space.units, start.grouping) == (space.units, run.initial)
    for file in ("grouping.json", "initial_grouping.json"):
        gn.Allocation(space, gn.Grouping.load(run.folder / file)).build()
    # A comparison keeps the space of what it trained two folders above.
    (tmp_path / "compared/train/even-s0-b1").mkdir(parents=True)
    shutil.copy(run.folder / "space.yaml", tmp_path / "compared")
    moved = shutil.copy(run.folder / "grouping.json", tmp_path / "compared/train/even-s0-b1")
    assert gn.Allocation.load(moved) == run.allocation


def test_a_space_beside_it_that_is_another_is_passed_over(tmp_path: Path) -> None:
    shutil.copy(OWN, tmp_path / "space.yaml")
    EVEN.save(tmp_path / "g.json")
    assert gn.Allocation.load(tmp_path / "g.json") == gn.Allocation(SPACE, EVEN)


def test_files_without_a_space_say_what_to_give(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    gn.Grouping("nowhere", EVEN.groups, EVEN.assignments).save(path)
    with pytest.raises(InputError, match=r"g\.json: space: .*nowhere.*; give the space"):
        gn.Allocation.load(path)
    assert gn.Allocation.load(path, SPACE).space is SPACE
    with pytest.raises(InputError, match=r"g\.json: grouping has groups left_eye"):
        gn.Allocation.load(path, gn.load_space(OWN))


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"stem": 2**20 + 4}, "stem: 1048580 channels; expected 1,048,576 at most"),
        ({3: 8}, "unit 3: "),
    ],
)
def test_widths_that_no_network_has(widths: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gn.load_space("picasso_local").resized(widths)


def test_what_a_run_saved_equals_what_it_found(tmp_path: Path) -> None:
    found = gn.Allocation.even(gn.load_space("picasso_local"))  # a file of several variants
    found.space.save(tmp_path / "space.yaml")
    found.save(tmp_path / "grouping.json")
    assert gn.Allocation.load(tmp_path / "grouping.json") == found
