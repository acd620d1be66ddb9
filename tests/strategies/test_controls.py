"""Controls: at equal cost, seeded, and each the network that it says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import groupnas as gn
from groupnas.budget import Budget
from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.strategies.controls import Manual, Random

CONTROLS = ("even", "random", "random:sizes", "manual", "manual:strong", "ungrouped", "separate")


class Nothing:
    """A task's shape alone: controls must not look at samples."""

    name, error_unit, sources = "nothing", "", ["a", "b"]

    def __init__(self, space: gn.SearchSpace) -> None:
        self.inputs, self.outputs = space.inputs, space.outputs


@pytest.fixture(scope="module")
def space() -> gn.SearchSpace:
    return gn.load_space("picasso_local")


def start(space: Any, name: str, seed: int = 0) -> Any:
    return load_strategy(name).start(space, Nothing(space), seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("total", [0.5, 1.0])
def test_every_control_costs_the_same_and_runs(space: Any, name: str, total: float) -> None:
    design = start(space, name).design(Budget(total=total))
    even = gn.flops(gn.Allocation.even(space)).total
    assert sum(design.costs().values()) == pytest.approx(total * even, rel=0.01)
    start_at = torch.linspace(-1, 1, 102)
    torch.manual_seed(0)
    network = design.build(start_at).eval()
    with torch.no_grad():
        answer = network(torch.randn(2, 4, 64, 64))
    assert answer.shape == (2, 102) and (answer - start_at).abs().max() < 0.5


@pytest.mark.parametrize("name", ["random", "random:sizes"])
def test_draws_repeat_by_seed_and_differ_between_seeds(space: Any, name: str) -> None:
    first, again, other = (start(space, name, seed).design().grouping for seed in (1, 1, 2))
    assert first == again != other


def test_sizes_are_spread_further_than_channels(space: Any) -> None:
    even = gn.Grouping.even(space)
    near = [gn.Grouping.random(space, seed).resized(even) for seed in range(5)]
    far = [gn.Grouping.random_sizes(space, seed).resized(even) for seed in range(5)]
    assert max(near) < min(far)


def test_all_divisions_of_a_unit_are_equally_likely() -> None:
    class Small:
        name, groups, free_units = "small", ("a", "b", "c"), {"unit": 5}

    drawn = [
        tuple(gn.Grouping.random_sizes(Small(), seed).counts()["unit"].values())
        for seed in range(1200)
    ]
    assert len(set(drawn)) == 6  # of 4 gaps, choose 2
    assert all(150 < drawn.count(sizes) < 250 for sizes in set(drawn))  # 200 expected, sd 13


def test_separate_networks_do_not_see_each_others_inputs(space: Any) -> None:
    network = start(space, "separate").design().build().eval()
    x = torch.randn(1, 4, 64, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0, 22:44].sum(), x)  # the right eye's outputs
    assert gradient[:, 1].abs().sum() > 0
    assert gradient[:, [0, 2, 3]].abs().sum() == 0
    even = start(space, "even").design().build()
    count = [sum(p.numel() for p in net.parameters()) for net in (network, even)]
    assert count[0] == count[1]


def test_by_hand_from_text_and_from_a_file(space: Any, tmp_path: Path) -> None:
    strategy = load_strategy("manual=nose:0.8,mouth:1.2")
    expected = gn.Grouping.manual(space, {"nose": 0.8, "mouth": 1.2})
    assert strategy.start(space, Nothing(space)).allocation().grouping == expected  # type: ignore[arg-type]
    expected.save(tmp_path / "g.json")
    path = str(tmp_path / "g.json")
    loaded = start(space, f"manual={path}")
    assert loaded.allocation().grouping == expected
    of_seeds = str(tmp_path / "g{seed}.json")
    gn.Grouping.random(space, 5).save(tmp_path / "g5.json")
    fifth = start(space, f"manual={of_seeds}", 5).allocation()
    assert fifth.grouping == gn.Grouping.random(space, 5)
    with pytest.raises(InputError, match=r"g6\.json: cannot be read"):
        start(space, f"manual={of_seeds}", 6)
    with pytest.raises(InputError, match="even takes nothing behind '='"):
        load_strategy("even=1")
    gn.Grouping.even(gn.load_space("examples/three_parts.yaml")).save(path)
    with pytest.raises(InputError, match=r"g\.json: grouping has groups disc"):
        Manual(title="t", file=path).start(space, Nothing(space))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["nose", "nose:", "nose:x", "nose:0", "nose:-1", "nose:inf", "nose:1,nose:2", ""]
)
def test_by_hand_what_is_no_weight(text: str) -> None:
    with pytest.raises(InputError, match="manual: "):
        load_strategy(f"manual={text}")


def test_part_budgets_mean_nothing_without_groups(space: Any) -> None:
    with pytest.raises(InputError, match="an ungrouped network has no groups"):
        start(space, "ungrouped").design(Budget(groups={"nose": 1.0}))


def test_a_control_is_a_search_like_any_other(
    shapes_space: Any, shapes: Any, tmp_path: Path
) -> None:
    run = gn.search(shapes_space, shapes, Random(title="t"), tmp_path / "run", seed=3)
    assert run.history == [] and run.network() is None
    assert gn.Grouping.load(tmp_path / "run/grouping.json") == run.grouping
    assert run.result["steps"] == 0
    again = gn.search(shapes_space, shapes, None, tmp_path / "run", seed=3, resume=True)
    assert again.grouping == run.grouping
