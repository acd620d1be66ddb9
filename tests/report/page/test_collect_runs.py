"""What is read of a search's folder: complete, killed, damaged, and from older versions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupnas.accountant import flops
from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.report.page import collect, render
from groupnas.report.page.collect import _names
from groupnas.report.page.model import PageRun, TetrisData
from groupnas.spaces import SearchSpace
from groupnas.spaces.allocation import Allocation

FILES = ("config.yaml", "history.jsonl", "result.json", "grouping.json", "initial_grouping.json")


def read(path: Path) -> PageRun:
    (run,) = collect([path])
    return run


def drawn(run: PageRun) -> TetrisData:
    assert run.network is not None
    return run.network


def test_complete_run_has_nothing_to_complain_of(searched: Path, shapes_space: SearchSpace) -> None:
    run = read(searched)
    assert (run.kind, run.finished, run.notes) == ("search", True, ())
    assert run.state == "Finished after 3 epochs." and run.name == "shapes-run"
    assert run.groups == shapes_space.groups
    assert [score.network for score in run.scores] == ["constant", "supernet", "derived"]
    assert run.data and set(run.data) == {"name", "samples", "fingerprint"}
    assert run.environment and {"versions.torch", "device", "threads"} <= set(run.environment)
    assert run.settings and run.settings["strategy.algorithm"] == "masks"
    titles = [chart.title for chart in run.charts]
    assert "Loss" in titles and "MACs of each group" in titles


def test_the_slider_ends_with_what_was_found(searched: Path) -> None:
    network = drawn(read(searched))
    found = Grouping.load(searched / "grouping.json")
    assert network.epochs == (1, 2, 3)
    assert [division.title for division in network.divisions] == ["initial", "found"]
    counted = {
        unit: [channels.count(group) for group in range(len(found.groups))]
        for unit, channels in found.assignments.items()
    }
    assert network.timeline[-1] == counted == network.divisions[-1].sizes
    assert network.timeline[0] == network.divisions[0].sizes  # warm-up moves nothing


def test_layers_cost_what_the_accountant_says(searched: Path, shapes_space: SearchSpace) -> None:
    """The page multiplies factors and sizes itself: their sum must be the network's cost."""
    run = read(searched)
    network = drawn(run)
    sizes = {**(network.fixed or {}), **network.divisions[-1].sizes}
    table = flops(Allocation(shapes_space, Grouping.load(searched / "grouping.json")))
    for place, group in enumerate(network.groups):
        macs = sum(
            layer.factor
            * sizes[layer.target][place]
            * (sizes[layer.source][place] if layer.mixes else 1)
            for layer in network.layers
        )
        assert macs == table.per_group[group] == run.costs[-1].macs[group]
    assert run.costs[-1].params == table.params_per_group


def test_killed_run_says_how_far_it_came(run_copy: Path) -> None:
    (run_copy / "result.json").unlink()
    lines = (run_copy / "history.jsonl").read_text().splitlines(keepends=True)
    (run_copy / "history.jsonl").write_text("".join(lines[:2]))
    run = read(run_copy)
    assert not run.finished and "2 of 3 epochs" in run.state
    (note,) = run.notes
    assert f"groupnas search --resume --out {run_copy}" in note.text
    assert [division.title for division in drawn(run).divisions] == ["initial", "so far"]


def test_run_killed_before_its_first_epoch(run_copy: Path) -> None:
    for name in ("result.json", "history.jsonl", "grouping.json"):
        (run_copy / name).unlink()
    run = read(run_copy)
    assert "0 of 3 epochs" in run.state and not run.charts
    assert {Path(note.where).name for note in run.notes} >= {"history.jsonl", "grouping.json"}
    assert [division.title for division in drawn(run).divisions] == ["initial"]


def test_search_by_trials_has_trials(run_copy: Path) -> None:
    """Its slider goes through the best sizes so far, and how many are planned is told."""
    config = yaml.safe_load((run_copy / "config.yaml").read_text())
    config["strategy"] = load_strategy("halving:quick").model_dump(mode="json")
    del config["records"]  # as in a folder of before: the strategy says what they are
    (run_copy / "config.yaml").write_text(yaml.safe_dump(config))
    path = run_copy / "history.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [
        {"epoch": r["epoch"], "trial": r["epoch"] - 1, "best": 3.0, "sizes": r["sizes"]}
        for r in records
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept))
    run = read(run_copy)
    assert run.state == "Finished after 3 trials."
    assert drawn(run).step == "Best so far, trial" and drawn(run).epochs == (1, 2, 3)
    assert [(chart.title, chart.step) for chart in run.charts] == [
        ("Best mean error so far, px", "trial")
    ]
    (run_copy / "result.json").unlink()
    planned = sum(trials for trials, _ in load_strategy("halving:quick").plan)  # type: ignore[attr-defined]
    assert f"3 of {planned} trials are done" in read(run_copy).state


def test_run_from_before_sizes_were_recorded(run_copy: Path) -> None:
    path = run_copy / "history.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        del record["sizes"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    run = read(run_copy)
    assert drawn(run).epochs == () and len(drawn(run).divisions) == 2
    assert ["no slider" in note.text for note in run.notes] == [True]


def test_damaged_line_keeps_the_epochs_before_it(run_copy: Path) -> None:
    path = run_copy / "history.jsonl"
    first, _, third = path.read_text().splitlines(keepends=True)
    path.write_text(first + "{half a li\n" + third)
    run = read(run_copy)
    assert drawn(run).epochs == (1,)
    assert run.notes[0].text.startswith("line 2: is not JSON: ")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("config.yaml", "space: [", "config.yaml: line 1: is not YAML"),
        ("grouping.json", '{"format"', "left out; resuming the run writes it anew"),
        (
            "result.json",
            "[1]",
            "is damaged: expected an object, got [1]; left out; resuming",
        ),
        ("history.jsonl", "{", "; the epochs before it are shown; resuming"),
    ],
)
def test_damaged_file_is_named_once_with_what_to_do(
    run_copy: Path, name: str, text: str, told: str
) -> None:
    """Whether and after how many epochs the search ended is known from the files beside it."""
    (run_copy / name).write_text(text)
    run = read(run_copy)
    (note,) = [note for note in run.notes if note.where == str(run_copy / name)]
    assert told in str(note)
    assert run.finished and run.state == "Finished after 3 epochs."


def test_lost_grouping_of_a_finished_search(run_copy: Path) -> None:
    (run_copy / "grouping.json").unlink()
    (note,) = read(run_copy).notes
    assert note.text == "is missing: what was found is not shown; resuming the run writes it anew"


def test_settings_of_another_version_are_noted(run_copy: Path) -> None:
    config = yaml.safe_load((run_copy / "config.yaml").read_text())
    config["strategy"]["format"] = 9
    (run_copy / "config.yaml").write_text(yaml.safe_dump(config))
    (note,) = read(run_copy).notes
    assert "may not run" in note.text and "strategy: format: input should be 1, got 9" in note.text


def test_only_a_search_that_watches_itself_has_health(run_copy: Path) -> None:
    assert read(run_copy).health is not None
    result = json.loads((run_copy / "result.json").read_text())
    records = [json.loads(line) for line in (run_copy / "history.jsonl").read_text().splitlines()]
    for table in (result, *records):
        table.pop("health", None)
    config = yaml.safe_load((run_copy / "config.yaml").read_text())
    del config["records"]["health"]
    (run_copy / "config.yaml").write_text(yaml.safe_dump(config))
    (run_copy / "result.json").write_text(json.dumps(result))
    (run_copy / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    run = read(run_copy)
    assert run.health is None and "Health:" not in render([run], library="")


def test_grouping_of_another_format_is_named(run_copy: Path) -> None:
    path = run_copy / "grouping.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 7'))
    run = read(run_copy)
    assert str(run.notes[0]) == (
        f"{path}: format: expected 1, got 7, so that another version of groupnas wrote it; left "
        "out; resuming the run writes it anew"
    )
    assert run.costs[0].network == "initial"  # what is left is shown


def test_changed_space_is_not_counted_with(run_copy: Path) -> None:
    config = yaml.safe_load((run_copy / "config.yaml").read_text())
    config["space"]["fingerprint"] = "0" * 64
    (run_copy / "config.yaml").write_text(yaml.safe_dump(config))
    run = read(run_copy)
    assert drawn(run).layers == ()
    assert "is not the space of this run any more" in run.notes[0].text
    told = json.loads((run_copy / "result.json").read_text())["macs_after"]
    assert run.costs[-1].macs == told and run.costs[-1].params is None  # as recorded


def test_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, text in (
        ("nowhere", "does not exist"),
        ("file", "is a file"),
        ("empty", "holds no run"),
    ):
        with pytest.raises(InputError, match=text):
            collect([tmp_path / name])
    with pytest.raises(InputError, match="at least one"):
        collect([])


def test_names_are_as_short_as_they_can_be() -> None:
    assert _names([Path("/a/x/run"), Path("/a/y/run")]) == ["x/run", "y/run"]
    assert _names([Path("/a/x"), Path("/a/y")]) == ["x", "y"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_whatever_is_in_a_file_it_ends_in_a_note_or_a_line(
    run_copy: Path, spoiled: Callable[..., str], data: st.DataObject, name: str
) -> None:
    """Bytes cut or turned over, and values of any kind under the keys that are read."""
    path = run_copy / name
    whole = path.read_bytes()
    try:
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(whole) - 1))
            path.write_bytes(whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 2 :])
        else:
            path.write_text(spoiled(whole.decode(), data))
        run = read(path.parent)
        for chart in run.charts:
            assert all(v is None or math.isfinite(v) for vs in chart.lines.values() for v in vs)
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
