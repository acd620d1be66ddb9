"""What a strategy declares of its records is shown everywhere, without an edit anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import yaml

import groupnas as gn
from groupnas.cli import main
from groupnas.engine.recorded import recorded_by
from groupnas.engine.search import Run
from groupnas.engine.search_job import SearchJob
from groupnas.engine.strategy import Optimizer, Strategy, load_strategy
from groupnas.engine.tracking import Tracker
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.report import history
from groupnas.report.page import collect
from groupnas.runs.fields import ERROR, Recorded, RecordField
from groupnas.runs.folder import RunFolder


class Walk(Strategy):
    """A strategy that no package offers: it walks, and learns nothing."""

    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("pace", "Pace", "metres a second", format=".1f"),
        RecordField("reach", "Reach of each group", ERROR, each="group", format=".3f"),
        RecordField("shoe", "Size of the shoe", drawn=False),
    )

    job: ClassVar[str] = f"{__name__}:Walking"

    algorithm: Literal["walk"] = "walk"
    epochs: int = 3

    def recorded(self) -> Recorded:
        return replace(super().recorded(), step="walk", phases={"slow": "strolling"})


class Walking(SearchJob):
    total_epochs, steps, batch_size = 3, 1, 2

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Any:
        epoch = len(self.history) + 1
        reach = {group: epoch + place for place, group in enumerate(self.space.groups)}
        record = {"epoch": epoch, "steps": 7, "phase": "slow" if epoch < 3 else "fast"}
        self.history.append({**record, "pace": epoch / 2, "reach": reach, "shoe": 40 + epoch})
        return self.history[-1]

    def allocation(self) -> gn.Allocation:
        return gn.Allocation.even(self.space)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = state["history"]


class Memory(Tracker):
    """Keeps what it is sent."""

    title = "Memory"

    def __init__(self) -> None:
        self.sent: list[Mapping[str, float]] = []

    def begin(self, folder: RunFolder) -> int:
        return 0

    def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self.sent.append(numbers)

    def end(self, result: Mapping[str, Any] | None) -> None:
        pass


@pytest.fixture
def walk(shapes_space: gn.SearchSpace, shapes: Any, tmp_path: Path) -> Callable[..., Run]:
    def run(*observers: Any) -> Run:
        strategy = Walk(title="A walk")
        return gn.search(shapes_space, shapes, strategy, tmp_path / "run", observers=observers)

    return run


def test_progress_prints_the_declared_columns(
    walk: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    walk()
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert lines[1:] == [
        ["epoch", "pace", "disc", "square", "ring", "shoe"],
        ["1/3", "0.5", "1", "2", "3", "41"],
        ["2/3", "1.0", "2", "3", "4", "42"],
        ["3/3", "1.5", "3", "4", "5", "43"],
    ]


def test_the_command_plots_what_is_drawn(
    walk: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk()
    caught: list[Any] = []
    monkeypatch.setattr(history, "save", lambda figure, path: caught.append(figure) or Path(path))
    with pytest.raises(SystemExit) as stopped:
        main(["plot", "--kind", "history", f"{tmp_path}/run", "-o", f"{tmp_path}/h.svg"])
    assert stopped.value.code == 0
    pace, reach, side, _ = caught[0].axes
    titles = [axes.get_title(loc="left") for axes in (pace, reach, side)]
    assert titles == ["Pace, metres a second", "Reach of each group, px", "Groups"]
    assert [list(line.get_ydata()) for line in pace.lines] == [[0.5, 1.0, 1.5]]
    assert [list(line.get_ydata()) for line in reach.lines] == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert pace.get_xlabel() == "walk"
    legend = [text.get_text() for text in side.get_legend().get_texts()]
    assert legend == ["disc", "square", "ring", "strolling"]
    assert pace.patches[0].get_x() == 0.5 and pace.patches[0].get_width() == 2  # epochs 1 and 2


def test_the_page_charts_it(walk: Callable[..., Run], tmp_path: Path) -> None:
    walk()
    (run,) = collect([tmp_path / "run"])
    assert run.state == "Finished after 3 walks." and run.health is None
    pace, reach = run.charts
    assert (pace.title, pace.step, pace.groups) == ("Pace, metres a second", "walk", False)
    assert dict(pace.lines) == {"Pace": [0.5, 1.0, 1.5]}
    assert reach.title == "Reach of each group, px" and reach.groups
    assert reach.lines["ring"] == [3, 4, 5]
    (tmp_path / "run/result.json").unlink()
    assert collect([tmp_path / "run"])[0].state.startswith("Not finished: 3 of 3 walks are done")


def test_trackers_get_every_number(walk: Callable[..., Run]) -> None:
    memory = Memory()
    walk(memory)
    assert len(memory.sent) == 3
    sent = {
        "steps": 7,
        "pace": 1.0,
        "shoe": 42,
        "reach/disc": 2,
        "reach/square": 3,
        "reach/ring": 4,
    }
    assert memory.sent[1] == sent


def test_a_folder_that_says_nothing_of_an_unknown_strategy(
    walk: Callable[..., Run], tmp_path: Path
) -> None:
    """As one of an older groupnas: all numbers are shown, under their keys."""
    walk()
    file = tmp_path / "run/config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["records"]
    file.write_text(yaml.safe_dump(config))
    (run,) = collect([tmp_path / "run"])
    assert [chart.title for chart in run.charts] == ["steps", "pace", "reach", "shoe"]
    assert run.charts[2].lines["square"] == [2, 3, 4]


def test_what_a_run_says_of_its_records_is_checked(
    walk: Callable[..., Run], tmp_path: Path
) -> None:
    walk()
    file = tmp_path / "run/config.yaml"
    config = yaml.safe_load(file.read_text())
    config["records"]["fields"][0]["each"] = "minute"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"config.yaml: is damaged: records.fields.0.each: input"):
        history.read_history(tmp_path / "run/history.jsonl")
    run = collect([tmp_path / "run"])[0]
    assert len(run.charts) == 4
    assert any("records.fields.0.each" in note.text for note in run.notes)


# -- what groupnas ships ------------------------------------------------------------------------

_FEW: dict[str, Any] = {"batch_size": 16, "validation": 0.3}
_BRIEF: dict[str, dict[str, Any]] = {
    "gumbel": {"warmup_epochs": 1, "epochs": 1},
    "evolution": {"trials": 2, "epochs": 1},
    "kronecker": {"epochs": 1},
    "knapsack": {"trials": 4, "epochs": 1},
    "knapsack:quick_slimmable": {"epochs": 1, "points": 4, "rounds": 1},
}


def test_every_declared_field_is_recorded(
    shapes_space: gn.SearchSpace, shapes: Any, tmp_path: Path
) -> None:
    """A key that is mistyped or renamed would never be drawn."""
    seen: dict[str, set[str]] = {}
    declared: dict[str, set[str]] = {}
    for name, changes in _BRIEF.items():
        strategy = load_strategy(name).with_settings(**_FEW, **changes)
        run = gn.search(shapes_space, shapes, strategy, tmp_path / name.replace(":", "_"))
        recorded = run.job.recorded
        assert strategy.planned == recorded.planned == len(run.history), name
        keys = {key for record in run.history for key, value in record.items() if value is not None}
        assert bool(recorded.sizes) == ("sizes" in keys), name
        assert recorded.health == ("health" in {*keys, *run.result}), name
        phases = {record.get("phase") for record in run.history}
        assert strategy.algorithm == "knapsack" or set(recorded.phases) <= phases, name
        declared[strategy.algorithm] = {field.key for field in recorded.fields}
        seen.setdefault(strategy.algorithm, set()).update(keys)
    for algorithm, keys in declared.items():
        assert keys <= seen[algorithm], algorithm


def test_what_runs_say_is_read_back() -> None:
    told = {name: load_strategy(name).recorded() for name in shipped_names("strategies")}
    told["training"] = Training(epochs=2, batch_size=2, weights=Optimizer(lr=0.1)).recorded()
    for name, recorded in told.items():
        text = yaml.safe_dump(recorded.to_dict())
        assert recorded_by({"records": yaml.safe_load(text)}, name) == recorded
    assert told["even"] == Recorded(planned=0)  # it has no epochs


def test_folders_of_before_are_told_by_their_strategy() -> None:
    settings = load_strategy("halving:quick").model_dump(mode="json")
    recorded = recorded_by({"strategy": settings}, "config.yaml")
    assert (recorded.step, recorded.planned) == ("trial", 12 + 4)  # of 12, one in 3 goes on
    assert recorded.fields[0].key == "trial"
    assert recorded_by({"strategy": {"algorithm": "walk"}}, "config.yaml") == Recorded()
    training = {"epochs": 4, "batch_size": 8, "weights": {"lr": 0.01}}
    assert recorded_by({"training": training}, "config.yaml").planned == 4


# -- the fields themselves ----------------------------------------------------------------------


def test_numbers_and_cells_of_a_record() -> None:
    one, each = RecordField("a", "A", gap="none", format=".1f"), RecordField("t", "T", each="group")
    record = {"a": None, "t": {"x": 1, "y": 2.5, "z": None, "w": "words", "mean": True}}
    assert one.numbers(record) == {} and list(one.cells(record)) == [("a", "none")]
    assert each.numbers(record) == {"x": 1, "y": 2.5}
    assert list(each.cells({"t": {"x": 1, "y": 2.5}})) == [("x", "1"), ("y", "2.500")]
    assert list(each.cells({"t": {"x": 1.0, "mean": 1.0}})) == [("t", "1.000")]
    many = {**{f"p{number}": float(number) for number in range(68)}, "mean": 33.5}
    assert list(each.cells({"t": many})) == [("t", "33.50")]
    for other in ({}, {"t": None}, {"t": 3}):
        assert list(each.cells(other)) == [] and each.numbers(other) == {}
    assert list(one.cells({})) == [] and one.numbers({"a": float("nan")}) == {}


def test_fields_that_share_a_chart() -> None:
    fields = (
        RecordField("a", "alone", "shares", chart="Both"),
        RecordField("t", "table", each="name", chart="Both"),
        RecordField("u", "hidden", drawn=False),
        RecordField("v", "Never there"),
    )
    records: list[dict[str, Any]] = [
        {"epoch": 2, "a": 1, "u": 1},
        {"epoch": 3, "t": {"a": 4, "b": "x"}, "u": 2},
    ]
    (chart,) = Recorded(fields=fields).charts(records)
    assert (chart.title, chart.unit, list(chart.epochs)) == ("Both, shares", "shares", [2, 3])
    assert dict(chart.lines) == {"alone": [1, None], "table: a": [None, 4]}


def test_numbers_that_no_float_holds_are_not_drawn() -> None:
    records: list[dict[str, Any]] = [{"epoch": 1, "a": 10**400}, {"epoch": 2, "a": 3}]
    (chart,) = Recorded(fields=(RecordField("a", "A"),)).charts(records)
    assert dict(chart.lines) == {"A": [None, 3]}


def test_a_format_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(gn.InputError, match=r"field 'a': format: .*; expected e\.g\. '\.3f'"):
        RecordField("a", "A", format="zz")


def test_an_empty_title_is_read_again() -> None:
    told = Recorded(fields=(RecordField("a", ""),))
    assert Recorded.from_dict(told.to_dict(), "config.yaml") == told
