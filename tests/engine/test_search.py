"""The whole search: its folder, its refusals, and that a resumed run must be the same run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import full_disks

import groupnas
import groupnas.writing
from groupnas.engine.search import Run
from groupnas.errors import InputError
from groupnas.runs.folder import RunFolder
from groupnas.strategies.controls import Manual


@pytest.fixture
def go(shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path) -> Callable[..., Run]:
    """Search the shapes in ``tmp_path/run``; arguments replace the usual ones."""

    def run(**changes: Any) -> Run:
        arguments = {
            "space": shapes_space,
            "task": shapes,
            "strategy": None if changes.get("resume") else brief(),
            "out": tmp_path / "run",
            **changes,
        }
        return groupnas.search(**arguments)

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_a_run_leaves_behind(go: Any, tmp_path: Path) -> None:
    run = go(seed=5, arguments={"colour": "blue"})
    folder = tmp_path / "run"
    assert {file.name for file in folder.iterdir()} == {
        ".lock",
        "checkpoint.pt",
        "config.yaml",
        "grouping.json",
        "history.jsonl",
        "initial_grouping.json",
        "result.json",
        "space.yaml",
        "split.json",
        "timings.jsonl",
    }
    assert groupnas.Grouping.load(folder / "grouping.json") == run.grouping
    assert groupnas.Grouping.load(folder / "initial_grouping.json") == run.initial
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(run.history)
    assert json.loads((folder / "result.json").read_text()) == run.result
    assert len((folder / "timings.jsonl").read_text().splitlines()) == 3
    split = json.loads((folder / "split.json").read_text())
    assert len(split["train"]) == 70 and len(split["validation"]) == 30
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seed"] == 5 and config["arguments"] == {"colour": "blue"}
    assert config["strategy"]["epochs"] == 2 and config["task"]["samples"] == 100


def macs(stem: int, hidden: int, trunk: int, wider: int, head: int) -> int:
    """MACs of one shape in examples/three_parts.yaml, with so many channels, row by row."""
    return sum(
        (
            9 * 64 * 1 * stem,  # 16 x 16 to 8 x 8
            64 * stem * hidden + 9 * 16 * hidden + 16 * hidden * trunk,  # to 4 x 4
            16 * trunk * wider + 9 * 16 * wider + 16 * wider * trunk,
            16 * trunk * head,
            16 * head * 3,
        )
    )


def test_result_by_hand(go: Any) -> None:
    run = go(strategy=Manual(title="The ring gets half", weights={"ring": 2.0}))
    # 12, 24, 18, 36 and 24 channels as 1 : 1 : 2; of 4.5, 4.5 and 9 the first is rounded up.
    assert run.result["macs_after"] == {"disc": 7_728, "square": 7_248, "ring": 21_600}
    assert run.result["channels"] == 12 + 24 + 18 + 36 + 24


def test_the_result_tells_what_changed_between_the_files(go: Any, tmp_path: Path) -> None:
    run = go()
    before, after = (
        json.loads((tmp_path / "run" / name).read_text())["units"]
        for name in ("initial_grouping.json", "grouping.json")
    )
    moved = [a != b for unit in before for a, b in zip(before[unit], after[unit], strict=True)]
    assert run.result["moved"] == sum(moved) > 0
    for name, units in (("macs_before", before), ("macs_after", after)):
        expected = [macs(*(channels.count(g) for channels in units.values())) for g in range(3)]
        assert list(run.result[name].values()) == expected
    # 4 of 12, 8 of 24, 6 of 18, 12 of 36 and 8 of 24 channels
    assert run.result["macs_before"] == dict.fromkeys(("disc", "square", "ring"), 11_456)
    assert run.result["epochs"] == 3 and run.result["error_unit"] == "px"
    assert set(run.result["validation_errors"]) == {"constant", "supernet", "derived"}


def test_the_same_seed_gives_the_same_files(go: Any, tmp_path: Path) -> None:
    names = ("grouping.json", "history.jsonl", "split.json", "result.json", "checkpoint.pt")
    first, second, other = (
        files(go(out=tmp_path / name, seed=seed).folder.path)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for name in names:
        assert first[name] == second[name], name
        assert first[name] != other[name], name


def test_the_callers_random_state_is_left_alone(go: Any) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    go()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_finished_run_resumed_gives_its_result_again(go: Any, tmp_path: Path) -> None:
    first = go()
    before = files(tmp_path / "run")
    again = go(resume=True)
    assert files(tmp_path / "run") == before
    assert again.result == first.result and again.grouping == first.grouping


def test_a_second_run_in_the_same_folder(go: Any, tmp_path: Path) -> None:
    go()
    before = files(tmp_path / "run")
    with pytest.raises(InputError, match="run: holds a run already; --resume goes on, another"):
        go()
    assert files(tmp_path / "run") == before


def test_other_files_in_the_folder_are_left_alone(go: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    go()
    assert (tmp_path / "run/notes.txt").read_text() == "mine"


def test_fewer_or_more_epochs(go: Any, tmp_path: Path) -> None:
    assert len(go(epochs=4).history) == 5  # and one of warm-up
    with pytest.raises(InputError, match="masks: epochs: .*got 0"):
        go(epochs=0, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_another_setting_is_refused_by_name(
    go: Any, brief: Any, own_parts: Any, shapes_space: Any, tmp_path: Path
) -> None:
    go(seed=1)
    before = files(tmp_path / "run")
    text = own_parts.SPACE.read_text()
    (tmp_path / "three_parts.yaml").write_text(text.replace("c: 24", "c: 30"))
    (tmp_path / "renamed.yaml").write_text(text)
    masks = {"temperature": {"start": 2.0}}
    for changes, message in (
        ({"seed": 2}, "seed = 1, not 2"),
        ({"epochs": 3}, "strategy.epochs = 2, not 3"),
        ({"strategy": brief(mask_every=2)}, "mask_every = 1, n"),
        ({"strategy": brief(masks=masks)}, "strategy.masks.temperature.start = 1.0, not 2.0"),
        ({"space": groupnas.load_space(tmp_path / "three_parts.yaml")}, "space.fingerprint = "),
        ({"space": groupnas.load_space(tmp_path / "renamed.yaml")}, "space.name = 'three_parts'"),
        ({"task": own_parts.Shapes(samples=99)}, "task.samples = 100, not 99"),
        ({"task": own_parts.Shapes(samples=100, seed=1)}, "task.fingerprint = "),
    ):
        with pytest.raises(InputError, match=f"run: the run was started with .*{message}") as error:
            go(**{"resume": True, "seed": 1, **changes})
        assert "\n" not in str(error.value)
    assert files(tmp_path / "run") == before
    # what does not change the search may be named otherwise
    # and the seed need not be said again
    go(resume=True)
    titled = replace(shapes_space, title="Another title")
    strategy = brief().model_copy(update={"title": "Another too", "source": "elsewhere"})
    go(resume=True, seed=1, space=titled, strategy=strategy)


def test_nothing_to_resume(go: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run: does not exist; expected the folder of a search"):
        go(resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "", "meta"])
def test_a_device_that_is_not_here(go: Any, tmp_path: Path, device: str) -> None:
    with pytest.raises(InputError, match=f"device '{device}' cannot be used here: ") as error:
        go(device=device)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_one_group_leaves_nothing_to_search(go: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"picasso_global:68: has one group \(face\), so that"):
        go(space=groupnas.load_space("picasso_global"))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_run(go: Any, tmp_path: Path) -> None:
    go()
    folder = RunFolder(tmp_path / "run")
    saved = folder.load_checkpoint()
    for state in ({"run": saved["run"]}, {**saved, "supernet": {}}):
        folder.save_checkpoint(state)
        with pytest.raises(InputError, match="checkpoint.pt: is damaged, or not of the run that"):
            go(resume=True)


def test_a_checkpoint_of_another_seed(go: Any, tmp_path: Path) -> None:
    """It fits, and would go on as a run that no file describes."""
    go()
    go(out=tmp_path / "other", seed=1)
    (tmp_path / "run/checkpoint.pt").write_bytes((tmp_path / "other/checkpoint.pt").read_bytes())
    before = files(tmp_path / "run")
    with pytest.raises(InputError, match="checkpoint.pt: is of another run than config.yaml"):
        go(resume=True)
    assert files(tmp_path / "run") == before


def test_a_damaged_seed_in_the_config(go: Any, tmp_path: Path) -> None:
    go()
    path = tmp_path / "run/config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "seed": "one"}))
    with pytest.raises(
        InputError, match="config.yaml: seed: expected a whole number .*, got 'one'"
    ):
        go(resume=True)


def test_a_damaged_strategy_in_the_config(go: Any, tmp_path: Path) -> None:
    go()
    path = tmp_path / "run/config.yaml"
    good = yaml.safe_load(path.read_text())
    for damage in (None, {}, {**good["strategy"], "epochs": -1}, "words"):
        path.write_text(yaml.safe_dump({**good, "strategy": damage}))
        with pytest.raises(InputError, match="config.yaml: strategy: ") as error:
            go(resume=True)
        assert "\n" not in str(error.value)


def test_full_disk_at_every_write(go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails, it is said in one line, and the run goes on once there is space."""
    expected = files(go(out=tmp_path / "whole").folder.path)
    outs = full_disks(lambda out: go(out=out), tmp_path, monkeypatch)
    for number, out in enumerate(outs, start=1):
        go(out=out, resume=RunFolder(out).exists)
        found = files(out)
        for name in ("grouping.json", "initial_grouping.json", "split.json", "history.jsonl"):
            assert found[name] == expected[name], (number, name)
        assert found["result.json"] == expected["result.json"]
    assert number >= 15


def test_a_budget_that_cannot_be_met_leaves_no_folder(go: Any, brief: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="less than the fewest channels cost"):
        go(strategy=brief().with_budget(groupnas.Budget(total=1e-3)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(history="two epochs"), "history: expected a list, got 'two epochs'"),
        (lambda s: s["history"][0].update(health=3), "history, epoch 1: health: input should be a"),
        (lambda s: s["history"][0]["macs"].popitem(), "history.macs: expected disc, square, ring"),
        (lambda s: s["history"].append(dict(s["history"][0])), "history: holds|history, epoch"),
        (lambda s: s["initial"].update(units=[]), "initial.units: expected a mapping"),
        (
            lambda s: s["train_stream"].update(order=torch.tensor([10**6])),
            "order: holds samples that are not on this side",
        ),
        (lambda s: s.update(torch_rng=torch.zeros(3)), "torch_rng: expected uint8"),
    ],
)
def test_types_of_a_checkpoint(go: Any, tmp_path: Path, change: Any, message: str) -> None:
    """One line that names the file and the place, whatever is wrong at whatever depth."""
    go()
    folder = RunFolder(tmp_path / "run")
    state = folder.load_checkpoint()
    change(state)
    folder.save_checkpoint(state)
    with pytest.raises(InputError, match=f"checkpoint.pt: is damaged, or not .*: ({message})"):
        go(resume=True)
