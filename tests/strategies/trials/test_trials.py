"""What all black-box searches do alike: even first, never worse than even, exact when resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from groupnas.budget import Budget
from groupnas.engine.search import search
from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import build
from groupnas.strategies.trials.job import TrialsJob

ALL = ["optuna:quick", "evolution:quick", "halving:quick"]
Make = Callable[..., TrialsJob]
Finish = Callable[[TrialsJob], TrialsJob]


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("name", ALL)
def test_even_is_first_and_never_beaten_by_the_result(
    make_job: Make, finish: Finish, name: str
) -> None:
    job = make_job(name)
    assert job.allocation().grouping == Grouping.even(job.space)
    finish(job)
    first, best = job.history[0], job.best()
    assert best is not None
    assert job.encoding.decode(first["point"]) == Allocation.even(job.space)
    assert first["cost"] == 1.0
    errors = job.outcome()["validation_errors"]
    assert errors["found"]["mean"] <= errors["even"]["mean"]
    most = max(record["trained"] for record in job.history)
    longest = [r["errors"]["mean"] for r in job.history if r["trained"] == most]
    assert best["errors"]["mean"] == min(longest) == job.history[-1]["best"]
    assert [r["epoch"] for r in job.history] == list(range(1, job.total_epochs + 1))
    json.dumps(job.history)


@pytest.mark.parametrize("name", ALL)
def test_records_hold_the_sizes_of_the_best_so_far(
    make_job: Make, finish: Finish, name: str
) -> None:
    job = finish(make_job(name))
    for done, record in enumerate(job.history, start=1):
        most = max(other["trained"] for other in job.history[:done])
        rivals = [other for other in job.history[:done] if other["trained"] == most]
        best = min(rivals, key=lambda other: other["errors"]["mean"])
        counts = job.encoding.decode(best["point"]).grouping.counts()
        assert record["sizes"] == {unit: [*row.values()] for unit, row in counts.items()}


@pytest.mark.parametrize("name", [*ALL, "optuna:pareto"])
def test_a_search_killed_in_any_trial_goes_on_as_if_never_stopped(
    make_job: Make, finish: Finish, name: str
) -> None:
    settings = {"trials": 8, "population": 3, "startup": 2, "tournament": 2, "seed": 3}
    fields = {*type(load_strategy(name)).model_fields, "seed"}
    settings = {key: value for key, value in settings.items() if key in fields}
    whole = finish(make_job(name, **settings))
    formula = whole.evaluate
    for end in (0, 1, 4):
        calls = 0

        def evaluate(*arguments: Any, end: int = end) -> Any:
            nonlocal calls
            calls += 1
            if calls > end:
                raise Killed
            assert formula is not None
            return formula(*arguments)

        job = make_job(name, evaluate=evaluate, **settings)
        with pytest.raises(Killed):
            finish(job)
        again = make_job(name, **settings)
        again.load_state_dict(job.state_dict())
        assert again.history == whole.history[: len(job.history)]
        assert finish(again).history == whole.history
        assert again.allocation().grouping == whole.allocation().grouping
        assert finish(make_job(name, **{**settings, "seed": 4})).history != whole.history


def test_the_same_sizes_are_judged_once(make_job: Make, finish: Finish) -> None:
    judged = []

    def evaluate(allocation: Allocation, epochs: int, seed: int) -> dict[str, float]:
        judged.append(allocation.grouping)
        return {"disc": 1.0, "square": 1.0, "ring": 1.0, "mean": 1.0}

    # Coordinates this small are all even.
    job = finish(make_job("evolution:quick", evaluate=evaluate, spread=1e-6))
    assert len(job.history) == 12
    assert judged == [Grouping.even(job.space)]


def test_trials_are_trained_from_scratch_alike(
    make_job: Make, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a formula: real trainings, whose steps are counted."""
    job = make_job("halving:quick", evaluate=None, trials=4, eta=2, epochs=2, batch_size=20)
    told: list[tuple[int, int]] = []
    record = job.run_epoch(lambda done, total: told.append((done, total)))
    assert len(job.split.train) == 70
    assert record["trained"] == 1 and record["steps"] == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    finish(job)
    # Four of one epoch, then even and the best other for two.
    assert [r["trained"] for r in job.history] == [1] * 4 + [2] * 2
    assert [r["steps"] for r in job.history] == [3] * 4 + [6] * 2
    again = make_job("halving:quick", evaluate=None, trials=4, eta=2, epochs=2, batch_size=20)
    assert again.run_epoch() == job.history[0]


def test_errors_that_are_no_numbers(make_job: Make) -> None:
    job = make_job("evolution", evaluate=lambda *_: {"disc": 1.0, "mean": float("nan")})
    with pytest.raises(InputError, match="trial 0: its validation errors"):
        job.run_epoch()


def test_other_budgets_get_the_best_proportions(make_job: Make, finish: Finish) -> None:
    job = finish(make_job("evolution:quick"))
    own, half = job.design(), job.design(Budget(total=0.5, tolerance=0.05))
    assert job.design(Budget()).grouping == own.grouping == job.allocation().grouping
    assert sum(half.costs().values()) == pytest.approx(0.5 * sum(own.costs().values()), rel=0.06)
    assert half.grouping is not None
    build(Allocation(job.space, half.grouping))


def test_nsga2_keeps_to_the_budget_and_tells_the_front(make_job: Make, finish: Finish) -> None:
    job = finish(make_job("optuna:pareto", trials=30, population=6, costs=(0.5, 1.5)))
    costs = [r["cost"] for r in job.history]
    assert min(costs) < 0.8 and max(costs) > 1.2
    best = job.best()
    assert best is not None and best["cost"] <= 1.01
    assert min(job.history, key=lambda r: r["errors"]["mean"])["cost"] > 1.01  # more is better here
    cheap = job.best(Budget(total=0.8))
    assert cheap is not None and cheap["cost"] <= 0.808
    front = job.outcome()["front"]
    assert len(front) > 2
    for point in front:
        assert not any(
            r["cost"] <= point["cost"] and r["errors"]["mean"] < point["error"] for r in job.history
        )
    assert sorted(front, key=lambda p: p["error"], reverse=True) == front


@pytest.mark.parametrize("name", ALL)
def test_better_than_the_first_random_points(make_job: Make, finish: Finish, name: str) -> None:
    """Not a benchmark: whatever guides the search must guide it downhill."""
    found: list[Any] = []
    random: list[Any] = []
    for seed in range(3):
        job = finish(make_job(name, trials=30, epochs=3, seed=seed))
        blind = finish(make_job("halving", trials=8, rungs=1, epochs=3, seed=seed))
        for results, search_ in ((found, job), (random, blind)):
            best = search_.best()
            assert best is not None
            results.append(best["errors"]["mean"])
    assert sum(found) < sum(random)


def test_a_run_folder(shapes_space: Any, shapes: Any, tmp_path: Any) -> None:
    strategy = load_strategy("evolution:quick").model_copy(
        update={"trials": 2, "epochs": 1, "population": 1, "tournament": 1, "batch_size": 20}
    )
    run = search(shapes_space, shapes, strategy, tmp_path / "run")
    assert run.result["steps"] == 6
    assert run.result["validation_errors"].keys() == {"even", "found"}
    again = search(shapes_space, shapes, strategy, tmp_path / "run", resume=True)
    assert again.history == run.history


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("evolution", {"tournament": 20}, "tournament: expected at most the population, 15"),
        ("optuna", {"costs": [1.0, 0.5]}, "costs: expected the lower share first"),
        ("halving", {"eta": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_make_no_sense(
    make_job: Make, name: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_job(name, **settings)


def test_settings_are_there_at_once() -> None:
    """Listing strategies must not wait for torch or optuna."""
    code = (
        "import sys, groupnas.strategies.trials.settings as s; s.Halving.plan; "
        "sys.exit(bool({'torch', 'optuna'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
