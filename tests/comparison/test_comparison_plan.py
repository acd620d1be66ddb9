"""Plans: pieces and their folders, labels, budgets, what may be added and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from groupnas.budget import Budget
from groupnas.comparison.plan import Piece, Plan, labelled
from groupnas.engine.strategy import Optimizer, load_strategy
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError

TRAINING = Training(epochs=1, batch_size=4, weights=Optimizer(lr=0.01))


def plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "strategies": labelled(["even", "random"]),
        "seeds": (0, 1),
        "budgets": (1.0, 0.5),
        "measure": "mac",
        "tolerance": 0.01,
        "training": TRAINING,
        "validation": 0.1,
        **changes,
    }
    return Plan(**settings)


def test_pieces_have_folders_of_their_own() -> None:
    searches = plan().searches()
    assert [str(piece) for piece in searches] == [
        "search even-s0",
        "search random-s0",
        "search even-s1",
        "search random-s1",
    ]
    trainings = [piece for search in searches for piece in plan().trainings(search)]
    folders = {piece.folder for piece in (*searches, *trainings)}
    assert len(folders) == 12
    assert Piece("even", 0, 0.5).folder == Path("train/even-s0-b0.5")


def test_it_survives_a_file() -> None:
    written = yaml.safe_load(yaml.safe_dump(plan().to_dict()))
    assert Plan.from_dict(written, "x") == plan()
    del written["seeds"]
    with pytest.raises(InputError, match="x: is damaged: seeds: missing"):
        Plan.from_dict(written, "x")


def test_joined_adds_at_the_end() -> None:
    more = plan(strategies=labelled(["separate", "even"]), seeds=(1, 5), budgets=(2.0,))
    both = plan().joined(more)
    assert list(both.strategies) == ["even", "random", "separate"]
    assert both.seeds == (0, 1, 5) and both.budgets == (1.0, 0.5, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": {}}, "strategies: expected one or more, each once; got none"),
        ({"strategies": {"a/b": load_strategy("even")}}, "strategy 'a/b': a label names folders"),
        ({"seeds": (1, 1)}, "seeds: expected one or more, each once; got 1, 1"),
        ({"seeds": (-1,)}, "seeds: expected a whole number from 0 to 2\\*\\*63 - 1, got -1"),
        ({"budgets": (1.0, 1.0000001)}, "budgets: expected one or more, each once; got 1, 1"),
        ({"budgets": (0.0,)}, "budgets: expected a number above 0 and up to 10000, got 0"),
        ({"budgets": (1e300,)}, "budgets: expected a number above 0 and up to 10000, got 1e"),
        ({"validation": 1.0}, "validation: expected a number above 0 and below 1, got 1.0"),
        ({"tolerance": 0.0}, "tolerance: expected a number above 0 and below 1, got 0.0"),
    ],
)
def test_what_no_comparison_can_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(**changes)


def test_labels(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        text = "algorithm: even\ntitle: x\npresets: {a b: {title: y}}\n"
        (tmp_path / folder / "my own.yaml").write_text(text)
    names = ["gumbel:quick", "even", "even", str(tmp_path / "one/my own.yaml")]
    names += [str(tmp_path / "two/my own.yaml"), f"{tmp_path}/one/my own.yaml:a b"]
    found = labelled(names, epochs=7)
    assert list(found) == ["gumbel_quick", "even", "my_own", "my_own-2", "my_own_a_b"]
    assert found["gumbel_quick"].model_dump()["epochs"] == 7


def test_budgets_keep_what_a_strategy_says_of_parts() -> None:
    even, piece = load_strategy("even"), Piece("a", 0, 0.5)
    own = plan(strategies={"a": even}, tolerance=0.02)
    assert own.budget(piece) == Budget(total=0.5, tolerance=0.02)
    capped = even.with_budget(Budget(total=2.0, groups={"nose": 1.0}))
    own = plan(strategies={"a": capped}, measure="params")
    assert own.budget(piece) == Budget(measure="params", total=0.5, groups={"nose": 0.25})


def test_searches_use_the_tolerance_where_it_is_wider() -> None:
    strict = load_strategy("random")
    assert strict.budget is not None and strict.budget.tolerance == 0.01
    own = plan(strategies={"a": strict}, tolerance=0.2)
    assert own.strategy(Piece("a", 0)) == strict.with_budget(Budget(tolerance=0.2))
    assert plan(strategies={"a": strict}).strategy(Piece("a", 0)) is strict
