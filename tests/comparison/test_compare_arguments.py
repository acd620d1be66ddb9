"""What callers of comparisons give: made what it is, or refused before the folder is made."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import groupnas
from groupnas.comparison.summary import read_comparison
from groupnas.comparison.tables import LONGEST, Comparison
from groupnas.engine.strategy import Optimizer, load_strategy
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError

TRAINING = Training(epochs=1, batch_size=16, weights=Optimizer(lr=0.01))


@pytest.fixture
def run(own_parts: Any, shapes_space: groupnas.SearchSpace, tmp_path: Path) -> Callable[..., Any]:
    """A comparison of even and random groups on 40 drawings, in ``tmp_path/c``."""

    def call(**changes: Any) -> Comparison:
        usual: dict[str, Any] = {
            "load": lambda: own_parts.Shapes(samples=40),
            "strategies": ["even"],
            "out": tmp_path / "c",
            "training": TRAINING,
            "seeds": [0],
            "validation": 0.3,
            "jobs": 1,
            "quiet": True,
        }
        return groupnas.compare(shapes_space, **{**usual, **changes})

    return call


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategies": "even"}, r"strategies: expected a list, got 'even'; write \['even'\]"),
        ({"strategies": {"even", "random"}}, "strategies: expected a list, since order counts"),
        ({"strategies": ["even", 5]}, "strategies: expected a name or a path, got 5"),
        ({"strategies": [load_strategy("even")]}, "strategies: expected a name or a path, got"),
        ({"strategies": {"mine": 5}}, "strategy: expected a name or a path, got 5"),
        ({"strategies": {5: "even"}}, "strategies: expected a text, got 5"),
        ({"strategies": []}, "strategies: expected one or more"),
        ({"measure": ""}, "measure '': "),
        ({"measure": "flops"}, "measure 'flops': "),
        ({"measure": "nowhere.json"}, "nowhere.json: cannot be read"),
        ({"arguments": np.array([1, 2])}, "arguments: expected numbers, texts, lists and mappings"),
        ({"seeds": 3}, "seeds: expected a list, got 3"),
        ({"seeds": "012"}, "seeds: expected a list, got '012'"),
        ({"seeds": [0, 1.0]}, "seeds: expected a whole number from 0 to "),
        ({"seeds": [True]}, "seeds: expected a whole number from 0 to "),
        ({"seeds": [2**80]}, "seeds: expected a whole number from 0 to "),
        ({"seeds": np.zeros((2, 2), int)}, "seeds: expected a whole number from 0 to "),
        ({"budgets": 1.0}, "budgets: expected a list, got 1.0"),
        ({"budgets": ["1"]}, "budgets: expected a number above 0 and up to 10000, got '1'"),
        ({"budgets": [np.nan]}, "budgets: expected a number above 0 and up to 10000, got nan"),
        ({"budgets": [True]}, "budgets: expected a number above 0 and up to 10000, got True"),
        ({"measure": 5}, "measure: expected a text, got 5"),
        ({"tolerance": True}, "tolerance: expected a number above 0 and below 1, got True"),
        ({"validation": 1}, "validation: expected a number above 0 and below 1, got 1"),
        ({"validation": "0.3"}, "validation: expected a number above 0 and below 1, got '0.3'"),
        ({"jobs": 1.0}, "jobs: expected a whole number from 1 on, got 1.0"),
        ({"jobs": True}, "jobs: expected a whole number from 1 on, got True"),
        ({"training": {"epochs": 1}}, "training: expected a Training, got a dict"),
        ({"load": "synthetic"}, "load: expected a function, got a str"),
        ({"more": ["a"]}, "more: expected a Mapping, got a list"),
        ({"more": {"a": 3}}, "more: a: expected a function, got a int"),
        ({"more": {"../a": list}}, "more: '../a': a name that names files"),
        ({"sampling": [1.0]}, "sampling: expected a function, got a list"),
        ({"on_progress": 3}, "on_progress: expected a function, got a int"),
        ({"track": "mlflow"}, r"track: expected a list, got 'mlflow'; write \['mlflow'\]"),
        ({"device": 5}, "device: expected the name of a torch device, got 5"),
        ({"resume": 1}, "resume: expected True or False, got 1"),
        ({"quiet": "yes"}, "quiet: expected True or False, got 'yes'"),
        ({"arguments": {"a": object()}}, "arguments.a: expected numbers, texts"),
        ({"out": 5}, "the run folder: expected a name or a path, got 5"),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing(
    run: Any, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        run(**changes)
    assert list(tmp_path.iterdir()) == []


def test_arrays_and_generators_are_lists(run: Any, tmp_path: Path) -> None:
    found = run(
        strategies=(name for name in np.array(["even", "random"])),
        seeds=np.arange(2),
        budgets=torch.tensor([0.5]),
        validation=np.float64(0.3),
        tolerance=torch.tensor(0.25),
        jobs=np.int64(1),
    )
    assert len(found.cells) == 4 and found.strategies == ("even", "random")
    config = yaml.safe_load((tmp_path / "c/config.yaml").read_text())
    assert config["seeds"] == [0, 1] and config["budgets"] == [0.5]
    assert (config["tolerance"], config["validation"]) == (0.25, 0.3)
    again = run(strategies={"even": "even"}, seeds=(0,), budgets=[0.5], tolerance=0.25, resume=True)
    assert len(again.cells) == 4
    with pytest.raises(InputError, match="^draws: expected a whole number from 1 on, got True"):
        read_comparison(tmp_path / "c", draws=True)


def test_what_cannot_be_sent_is_told_before_anything_runs(run: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^load: cannot be sent to other processes: .*jobs=1$"):
        run(jobs=2)
    with pytest.raises(InputError, match="^sampling: cannot be sent to other processes"):
        run(jobs=2, load=dict, sampling=lambda split: None)
    assert list(tmp_path.iterdir()) == []


def test_what_a_session_defines_is_known_to_no_other_process(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed in, or in a notebook: the other processes cannot import it."""
    session = types.ModuleType("__main__")
    load = types.FunctionType((lambda: None).__code__, session.__dict__, "load")
    session.load = load  # type: ignore[attr-defined]
    session.load.__qualname__ = "load"
    monkeypatch.setitem(sys.modules, "__main__", session)
    with pytest.raises(InputError, match="^load: is defined in this session, which other"):
        run(jobs=2, load=session.load)
    assert list(tmp_path.iterdir()) == []


# -- what is shown ------------------------------------------------------------------------------


def test_a_comparison_is_printed_as_its_tables(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(strategies=["even", "random"])
    text = str(found)
    assert "random" in text and "to even" in text and "4 samples" not in repr(found)
    row = found.row("even", 1.0)
    assert f"{row.errors['mean'][0]:.3f}" in text
    assert repr(found).endswith("even, random on shapes; 2 networks)") and len(repr(found)) < 300
    assert len(text) <= LONGEST
    monkeypatch.setattr("groupnas.comparison.tables.LONGEST", 400)  # many budgets are no book
    cut = str(found).splitlines()
    assert cut[:-1] == text.splitlines()[: len(cut) - 1] and len("\n".join(cut[:-1])) <= 400
    left = len(text.splitlines()) - len(cut) + 1
    assert cut[-1] == f"... and {left} more lines: groupnas compare {found.folder}"


def test_pieces_are_told_of_unless_quiet(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []
    run(quiet=False, on_progress=told.append)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["0/2", "1/2", "2/2"]
    assert "train even-s0-b1: " in lines[2] and len(told) == 3
    assert lines == [str(progress) for progress in told]
    run(out=tmp_path / "other", quiet=True)
    assert capsys.readouterr() == ("", "")
