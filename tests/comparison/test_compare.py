"""Comparisons of controls on the drawn shapes: what is trained on what, once, whatever happens."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import groupnas
from groupnas.comparison.compare import Progress, compare
from groupnas.comparison.plan import labelled
from groupnas.comparison.records import fall
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.summary import read_comparison, read_evidence
from groupnas.comparison.tables import Comparison, search_remarks
from groupnas.engine.search_job import SearchJob
from groupnas.engine.split import split_by_source
from groupnas.engine.strategy import Optimizer, Strategy
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.runs.kinds import kind_of
from groupnas.strategies.controls import Manual
from groupnas.strategies.masks.settings import MaskSearch

TRAINING = Training(epochs=2, batch_size=16, weights=Optimizer(lr=0.01))
Run = Callable[..., Comparison]


@pytest.fixture
def run(own_parts: Any, shapes_space: groupnas.SearchSpace) -> Run:
    """A comparison on 40 drawings, 12 of them held out; in this process."""

    def call(out: Path, strategies: Any = ("even", "random"), **options: Any) -> Comparison:
        settings: dict[str, Any] = {
            "training": TRAINING,
            "seeds": (0, 1),
            "validation": 0.3,
            "jobs": 1,
            **options,
        }
        load = settings.pop("load", lambda: own_parts.Shapes(samples=40))
        return compare(shapes_space, load, strategies, out, **settings)

    return call


class Plus:
    """A further measurement: errors of the same size, by the network's first output's bias."""

    calls = 0

    def __call__(self) -> Callable[[nn.Module], SampleErrors]:
        def score(network: nn.Module) -> SampleErrors:
            Plus.calls += 1
            assert not network.training
            return SampleErrors(
                errors=np.arange(12.0).reshape(4, 3),
                groups=("disc", "square", "ring"),
                weights=np.array([1.0, 1.0, 2.0]),
                sources=np.array(["a", "a", "b", "c"]),
                unit="mm",
                subsets={"hard": np.array([True, False, False, True]), "none": np.zeros(4, bool)},
            )

        return score


def files(folder: Path) -> dict[str, bytes]:
    """What must be the same however a comparison came about."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in ("history.jsonl", "grouping.json", "split.json"):
            found[str(path.relative_to(folder))] = path.read_bytes()
        if path.suffix == ".npz":
            found[str(path.relative_to(folder))] = SampleErrors.load(path).errors.tobytes()
    return found


def test_numbers_are_those_of_the_networks(
    tmp_path: Path, run: Run, own_parts: Any, shapes_space: groupnas.SearchSpace
) -> None:
    told: list[Progress] = []
    found = run(tmp_path / "c", budgets=(1.0, 0.5), on_progress=told.append)
    assert [progress.done for progress in told] == list(range(13)) and told[-1].total == 12
    assert told[4].left is None and told[-1].left == 0
    assert found.missing == () and len(found.cells) == 8 and found.samples == ("validation",)

    folder = tmp_path / "c/train/random-s1-b0.5"
    cell = json.loads((folder / "cell.json").read_text())
    grouping = groupnas.Grouping.load(folder / "grouping.json")
    # cost: half of what even groups cost, counted by the accountant
    even = groupnas.flops(groupnas.Allocation.even(shapes_space)).total
    table = groupnas.flops(groupnas.Allocation(shapes_space, grouping))
    assert cell["costs"]["mac"] == table.per_group
    assert table.total == pytest.approx(even / 2, rel=0.01)
    assert cell["costs"]["params"] == table.params_per_group
    # 28 drawings train in batches of 16, twice
    assert cell["steps"] == 2
    # errors: of the best weights, on the held-out drawings

    network = groupnas.Allocation(shapes_space, grouping).build()
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    network.load_state_dict(state["best"])
    task = own_parts.Shapes(samples=40)
    held_out = json.loads((folder / "split.json").read_text())["validation"]
    indices = torch.tensor([task.sources.index(source) for source in held_out])
    x, target = task.batch(indices)
    with torch.no_grad():
        expected = task.errors(network.eval()(x), target).double().numpy()
    stored = SampleErrors.load(folder / "errors-validation.npz")
    assert list(stored.sources) == held_out and len(held_out) == 12
    np.testing.assert_allclose(stored.errors, expected, rtol=1e-4)
    row = found.row("random", 0.5)
    assert row is not None and row.seeds == (0, 1) and row.count == 12 and row.unit == "px"
    other = SampleErrors.load(tmp_path / "c/train/random-s0-b0.5/errors-validation.npz")
    means = [errors.errors.mean(axis=0) for errors in (other, stored)]
    assert row.errors["ring"][0] == pytest.approx(np.mean(means, axis=0)[2])
    assert row.errors["mean"][0] == pytest.approx(np.mean(means))  # 3 outputs each


def test_pairs_share_weights_order_and_split(tmp_path: Path, run: Run) -> None:
    """Even groups by another name differ in nothing."""
    strategies = {**labelled(["even", "random"]), "equal": Manual(title="Equal")}
    found = run(tmp_path, strategies)
    same, other = found.row("equal", 1.0), found.row("random", 1.0)
    assert same is not None and other is not None
    assert {(d.mean, d.low, d.high) for d in same.differences.values()} == {(0.0, 0.0, 0.0)}
    assert other.differences["mean"].mean != 0
    even = found.row("even", 1.0)
    assert even is not None and even.differences == {}
    change = other.errors["mean"][0] - even.errors["mean"][0]
    assert other.differences["mean"].mean == pytest.approx(change)
    assert other.relative["mean"] == pytest.approx(change / even.errors["mean"][0])
    against = read_comparison(tmp_path, "random", draws=50).row("even", 1.0)
    assert against is not None and against.differences["mean"].mean == pytest.approx(-change)
    with pytest.raises(InputError, match="baseline 'evn': did you mean 'even'"):
        read_comparison(tmp_path, "evn")


def test_held_out_sources_reach_no_search_and_no_training(
    tmp_path: Path, run: Run, brief: Callable[..., MaskSearch]
) -> None:
    found = run(tmp_path, {**labelled(["even"]), "masks": brief()}, seeds=(0, 4))
    splits = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("split.json")
    }
    trained = splits.pop("even-s0-b1")
    assert len(trained["validation"]) == 12
    for name, split in splits.items():
        if "-b" in name:
            assert split == trained, name
        else:
            assert set(split["train"]) | set(split["validation"]) == set(trained["train"]), name
    costs = {cost.strategy: cost for cost in found.searches}
    assert costs["even"].steps == costs["even"].trainings == 0
    # a third of 28 is for masks: 20 of them train, in one batch; then two epochs with masks' too
    history = (tmp_path / "search/masks-s0/history.jsonl").read_text().splitlines()
    steps = sum(json.loads(line)["steps"] for line in history)
    assert costs["masks"].steps == steps and costs["masks"].training_steps == steps / 2
    assert costs["masks"].seconds > 0


class Killed(BaseException):
    """Stands for whatever ends a process."""


def test_killed_anywhere_and_resumed(
    tmp_path: Path, run: Run, brief: Callable[..., MaskSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    strategies = {"masks": brief()}
    run(tmp_path / "whole", strategies, seeds=(0,))
    expected, replace, writes = files(tmp_path / "whole"), os.replace, 0
    assert len(expected) == 3 + 4  # of the search, of the training

    def dying(source: Any, target: Any) -> None:
        nonlocal writes
        writes -= 1
        if writes == 0:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    tried = 0
    for number in range(1, 200, 6):  # each comparison is stopped after so many writes, then again
        writes, out = number, tmp_path / f"stopped-{number}"
        try:
            run(out, strategies, seeds=(0,))
            break
        except Killed:
            tried += 1
        writes = 7
        with pytest.raises(Killed):
            run(out, strategies, seeds=(0,), resume=(out / "config.yaml").exists())
            writes = 1
            raise Killed
        writes = -1
        run(out, strategies, seeds=(0,), resume=(out / "config.yaml").exists())
        assert files(out) == expected, number
    assert tried >= 4


def test_nothing_is_done_twice_and_more_may_be_added(tmp_path: Path, run: Run) -> None:
    run(tmp_path, seeds=(0,))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")}
    Plus.calls = 0
    more = {"plus": Plus()}
    found = run(tmp_path, ["separate", "even"], seeds=(2,), budgets=(0.5,), resume=True, more=more)
    # 3 strategies, 2 seeds, 2 budgets: a grid, and measured all over
    assert found.strategies == ("even", "random", "separate")
    assert {(c.piece.seed, c.piece.budget) for c in found.cells} == {
        (seed, budget) for seed in (0, 2) for budget in (1.0, 0.5)
    }
    assert len(found.cells) == 12 == Plus.calls and found.missing == ()
    searches = [path for path in kept if path.parent.parent.name == "search"]
    assert len(searches) == 2 and all(path.stat().st_mtime_ns == kept[path] for path in searches)
    assert found.samples == ("validation", "plus", "plus/hard")  # no row of no sample
    row = found.row("separate", 1.0, "plus/hard")
    assert row is not None and row.count == 2 and row.unit == "mm"
    # samples 0 and 3: (0, 1, 2) and (9, 10, 11), the last group counting twice
    assert row.errors["ring"][0] == 6.5 and row.errors["mean"][0] == pytest.approx(5.75)
    histories = [path.read_bytes() for path in sorted(tmp_path.rglob("train/*/history.jsonl"))]
    assert all(history.count(b"\n") == 2 for history in histories)
    again = run(tmp_path, ["even"], seeds=(0,), resume=True, more=more)
    assert Plus.calls == 12 and again.to_dict() == found.to_dict()


def test_searches_and_trainings_are_tracked(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("tensorboard")
    run(tmp_path, ["random"], seeds=(0,), track=["tensorboard"])
    for piece in ("search/random-s0", "train/random-s0-b1"):
        assert list((tmp_path / piece / "tensorboard").glob("events.*")), piece
    with pytest.raises(InputError, match="unknown tracker"):
        run(tmp_path / "other", track=["nothing"])
    assert not (tmp_path / "other").exists()


def test_what_a_resumed_comparison_must_not_change(
    tmp_path: Path, run: Run, own_parts: Any
) -> None:
    own: dict[str, Strategy] = {"a": Manual(title="A", weights={"ring": 1.2})}
    run(tmp_path, own, seeds=(0,))
    with pytest.raises(InputError, match="holds a run already; --resume goes on"):
        run(tmp_path, own, seeds=(0,))
    edited = {"a": Manual(title="A", weights={"ring": 1.3})}
    with pytest.raises(InputError, match=r"strategies\.a\.weights\.ring = 1.2, not 1.3"):
        run(tmp_path, edited, seeds=(0,), resume=True)
    run(tmp_path, {"a": own["a"].model_copy(update={"title": "B"})}, seeds=(0,), resume=True)
    longer = TRAINING.model_copy(update={"epochs": 3})
    with pytest.raises(InputError, match=r"training\.epochs = 2, not 3"):
        run(tmp_path, own, training=longer, resume=True)
    with pytest.raises(InputError, match=r"task\.samples = 40, not 50"):
        run(tmp_path, own, load=lambda: own_parts.Shapes(samples=50), resume=True)
    with pytest.raises(InputError, match="validation = 0.3, not 0.2"):
        run(tmp_path, own, validation=0.2, resume=True)
    with pytest.raises(InputError, match="does not exist; expected the folder of a comparison"):
        run(tmp_path / "other", own, resume=True)
    with pytest.raises(InputError, match="jobs: expected a whole number from 1 on, got 0"):
        run(tmp_path / "other", own, jobs=0)


def test_a_piece_that_fails_stops_no_other(tmp_path: Path, run: Run) -> None:
    told: list[Progress] = []
    bad = {**labelled(["even"]), "bad": Manual(title="Bad", weights={"rign": 2.0})}
    with pytest.raises(InputError, match="search bad-s0: unknown group 'rign'.*search bad-s1"):
        run(tmp_path, bad, on_progress=told.append)
    assert told[-1].done == 4 and told[-1].total == 8
    found = read_comparison(tmp_path)
    assert found.strategies == ("even",) and len(found.missing) == 2
    assert str(found.missing[0]) == "train bad-s0-b1"


class Lost(Plus):
    """Of each network, whose every second is no longer finite."""

    def __call__(self) -> Callable[[nn.Module], SampleErrors]:
        measure = super().__call__()

        def score(network: nn.Module) -> SampleErrors:
            found = measure(network)
            if Plus.calls % 2:
                found.errors[1:, 0] = math.nan
                found.errors[2, 1] = math.inf
            return found

        return score


def test_networks_that_diverged_end_in_words(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """NaN where the other networks have numbers is not what the samples lack."""
    Plus.calls = 0
    found = run(tmp_path / "c", more={"plus": Lost()}, seeds=(0,))
    row, other = found.row("even", 1.0, "plus"), found.row("random", 1.0, "plus")
    assert row is not None and other is not None
    assert row.diverged == (0,) and other.diverged == () and other.differences == {}
    assert row.errors == {
        "disc": (math.inf, None),
        "square": (math.inf, None),
        "ring": (np.mean([2, 5, 8, 11]), None),
        "mean": (math.inf, None),
    }
    assert row.counts == dict.fromkeys(("disc", "square", "ring", "mean"), 4)
    assert found.row("random", 1.0).differences  # type: ignore[union-attr]
    from groupnas.cli.compare import _show

    _show([tmp_path / "c"], None, tmp_path / "figure.png", as_json=False)
    assert "plus: even diverged (seeds: 0)" in capsys.readouterr().out


def test_too_few_held_out_sources_are_told_at_the_start(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    for share, told in (
        (0.2, ["shapes: 8 sources are held out, so that no interval can be"]),
        (0.3, []),
    ):
        caplog.clear()
        found = run(tmp_path / str(share), ("even",), seeds=(0,), validation=share)
        assert [record.getMessage().partition(" given")[0] for record in caplog.records] == told
        assert found.rows[0].sources == 40 * share


def test_parts_that_some_samples_lack(tmp_path: Path, run: Run, own_parts: Any) -> None:
    class Gappy(own_parts.Shapes):  # type: ignore[name-defined,misc]
        def errors(self, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            errors: torch.Tensor = super().errors(predicted, target)
            errors[target[:, 2, 1] > 0, 2] = math.nan  # the ring is not marked above the middle
            return errors

    found = run(tmp_path / "c", load=lambda: Gappy(samples=60), budgets=(0.5,))
    row = found.row("random", 0.5)
    stored = [
        SampleErrors.load(tmp_path / f"c/train/random-s{seed}-b0.5/errors-validation.npz").errors
        for seed in (0, 1)
    ]
    assert row is not None and 0 < row.counts["ring"] < row.count == row.counts["disc"] == 18
    rings = [table[~np.isnan(table[:, 2]), 2].mean() for table in stored]
    assert row.errors["ring"][0] == pytest.approx(np.mean(rings))
    assert row.errors["disc"][0] == pytest.approx(np.mean(stored, axis=(0, 1))[0])
    assert row.differences["ring"].sources == row.counts["ring"]
    cell = json.loads((tmp_path / "c/train/random-s0-b0.5/cell.json").read_text())
    assert cell["counts"]["validation"] == row.counts
    assert cell["errors"]["validation"]["ring"] == pytest.approx(rings[0])


def test_a_folder_in_use_or_damaged(tmp_path: Path, run: Run) -> None:
    from groupnas.runs.folder import RunFolder

    run(tmp_path / "c", seeds=(0,))
    with (
        RunFolder(tmp_path / "c").locked(),
        pytest.raises(InputError, match="another run is writing"),
    ):
        run(tmp_path / "c", resume=True)
    errors = tmp_path / "c/train/even-s0-b1/errors-validation.npz"
    errors.write_bytes(b"PK")
    with pytest.raises(InputError, match="errors-validation.npz: is damaged.*remove it and resume"):
        read_comparison(tmp_path / "c")
    errors.unlink()
    assert run(tmp_path / "c", seeds=(0,), resume=True).missing == ()
    cell = errors.with_name("cell.json")
    cell.write_text("[")
    with pytest.raises(InputError, match="cell.json:1: is not JSON.*; remove it and resume"):
        read_comparison(tmp_path / "c")
    with pytest.raises(InputError, match="does not exist; expected the folder of a comparison"):
        read_comparison(tmp_path / "d")


# -- numbers of elsewhere, splits that vary, inherited weights ----------------------------------


def test_another_machine_goes_on_from_numbers(tmp_path: Path, run: Run) -> None:
    """Two seeds here, the third there: the same as three at one place."""
    run(tmp_path / "a")
    read_evidence(tmp_path / "a").save(tmp_path / "a.json")
    found = run(tmp_path / "b", seeds=(0, 1, 2), evidence=[tmp_path / "a.json"])
    trained = sorted(path.parent.name for path in (tmp_path / "b").rglob("cell.json"))
    assert trained == ["even-s2-b1", "random-s2-b1"] and found.missing == ()
    assert kind_of(tmp_path / "b").state(tmp_path / "b") == "finished"  # type: ignore[union-attr]
    whole = run(tmp_path / "whole", seeds=(0, 1, 2))
    row, expected = found.row("random", 1.0), whole.row("random", 1.0)
    assert row is not None and expected is not None and row.seeds == expected.seeds == (0, 1, 2)
    assert row.errors["mean"] == pytest.approx(expected.errors["mean"], rel=1e-4)
    both = read_comparison([tmp_path / "a.json", tmp_path / "b"])  # the same cells are no clash
    assert both.row("random", 1.0) == row
    again = run(tmp_path / "b", ["even"], seeds=(0,), resume=True)  # the numbers lie in the folder
    assert again.to_dict() == found.to_dict()


def test_numbers_of_another_comparison_are_refused(tmp_path: Path, run: Run) -> None:
    run(tmp_path / "a", seeds=(0,))
    longer = TRAINING.model_copy(update={"epochs": 3})
    for changed, complaint in (
        ({"training": longer}, r"identity\.training\.epochs is 3 and 2"),
        ({"split": "seed"}, r"identity\.split is 'seed' and 'fixed'"),
        ({"more": {"plus": Plus()}}, "random-s0-b1 was not measured on 'plus'|even-s0-b1 was not"),
        ({"strategies": {"random": Manual(title="R")}}, r"strategies\.random\."),
    ):
        with pytest.raises(InputError, match=complaint):
            run(tmp_path / "b", evidence=[tmp_path / "a"], **{"seeds": (0,), **changed})
    assert not (tmp_path / "b").exists()


def test_splits_that_vary_with_the_seed(
    tmp_path: Path, run: Run, brief: Callable[..., MaskSearch], own_parts: Any
) -> None:
    strategies = {**labelled(["even"]), "masks": brief()}
    found = run(tmp_path / "c", strategies, seeds=(0, 3), split="seed")
    splits = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("split.json")
    }
    sources = own_parts.Shapes(samples=40).sources
    for seed in (0, 3):
        expected = split_by_source(sources, 0.3, seed).sources(sources)
        assert splits[f"even-s{seed}-b1"] == splits[f"masks-s{seed}-b1"] == expected
        inner = splits[f"masks-s{seed}"]
        assert set(inner["train"]) | set(inner["validation"]) == set(expected["train"])
    held_out = [set(splits[f"even-s{seed}-b1"]["validation"]) for seed in (0, 3)]
    assert held_out[0] != held_out[1]
    row = found.row("masks", 1.0)
    assert row is not None and row.varied and row.count == 12
    assert row.sources == len(held_out[0] | held_out[1]) == row.differences["mean"].sources
    by_seed = [
        [
            SampleErrors.load(tmp_path / f"c/train/{label}-s{seed}-b1/errors-validation.npz")
            for label in ("masks", "even")
        ]
        for seed in (0, 3)
    ]
    expected_mean = np.mean([mine.errors.mean() - other.errors.mean() for mine, other in by_seed])
    assert row.differences["mean"].mean == pytest.approx(expected_mean)
    with pytest.raises(InputError, match="split = 'seed', not 'fixed'"):
        run(tmp_path / "c", strategies, seeds=(0,), resume=True)
    with pytest.raises(InputError, match="split: expected fixed or seed, got 'random'"):
        run(tmp_path / "d", split="random")


def test_networks_go_on_from_the_search_where_it_has_weights(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inherited(self: SearchJob, design: Any) -> nn.Module:
        network: nn.Module = design.build()
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.5)
        return network

    fresh = run(tmp_path / "fresh", ["even"], seeds=(0,))
    monkeypatch.setattr(SearchJob, "inherited", inherited)
    found = run(tmp_path / "c", ["even"], seeds=(0,))
    assert found.rows[0].errors != fresh.rows[0].errors
    assert [c.told["inherited"] for c in (*fresh.cells, *found.cells)] == [False, True]
    assert search_remarks(fresh) == [] and "so its steps trained them" in search_remarks(found)[0]


def test_how_far_from_level() -> None:
    def history(*errors: float) -> list[dict[str, Any]]:
        return [{"validation": {"mean": error}} for error in errors]

    assert fall(history(9, 5, 4, 6, 3)) == pytest.approx(0.25)  # from 4 to 3
    assert fall(history(9, 5, 4, 3, 3.5)) == 0  # no later epoch was better
    assert fall(history(*[5] * 8, 4, 4.5)) == pytest.approx(0.2)  # two of ten
    assert fall(history(4, 3, 2, 1)) is None
    assert fall(history(9, 5, math.nan, 6, 3)) is None
