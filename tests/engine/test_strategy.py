"""Strategy files: where they are found, how presets change them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.schema import preset_names

TEXT = """
algorithm: masks
title: |
  A title
  on two lines
warmup_epochs: 2
epochs: 10
batch_size: 4
validation: 0.25
weights: {lr: 0.1, schedule: cosine, end_lr: 0.01}
masks:
  temperature: {start: 4.0, end: 0.5}
  optimizer: {name: sgd, lr: 0.2, momentum: 0.0}
presets:
  quick: {epochs: 3}
  deep: {masks: {temperature: {end: 2.0}, optimizer: {lr: 0.7}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/mine.yaml").write_text(TEXT)
    return tmp_path


def write(folder: Path, change: dict[str, Any]) -> str:
    data = yaml.safe_load(TEXT)
    for path, value in change.items():
        *parents, key = path.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[key]
        else:
            place[key] = value
    (folder / "bad.yaml").write_text(yaml.safe_dump(data))
    return "bad.yaml"


def test_values_and_defaults(folder: Path) -> None:
    strategy = load_strategy("mine")
    assert strategy.title == "A title on two lines"
    assert (strategy.epochs, strategy.mask_every, strategy.validation) == (10, 1, 0.25)
    assert strategy.weights.name == "adam" and strategy.weights.betas == (0.9, 0.999)
    assert strategy.masks.relaxation == "gumbel_hard"
    assert load_strategy(folder / "strategies/mine.yaml") == strategy


def test_presets_replace_single_settings_at_every_depth(folder: Path) -> None:
    plain, deep = load_strategy("mine"), load_strategy("mine:deep")
    assert deep.masks.temperature.end == 2.0 and deep.masks.temperature.start == 4.0
    assert deep.masks.optimizer.lr == 0.7 and deep.masks.optimizer.name == "sgd"
    assert deep.weights == plain.weights and deep.epochs == plain.epochs
    assert load_strategy("strategies/mine.yaml:quick").epochs == 3
    assert preset_names("strategies", "mine") == ["quick", "deep"]


def test_own_strategies_come_first(folder: Path) -> None:
    shipped = load_strategy("gumbel")
    (folder / "strategies/gumbel.yaml").write_text(TEXT)
    assert load_strategy("gumbel").title == "A title on two lines" != shipped.title
    assert shipped_names("strategies")[:2] == ["gumbel", "mine"]


@pytest.mark.parametrize("name", shipped_names("strategies"))
def test_shipped_strategies_are_valid(name: str) -> None:
    for full in [name, *(f"{name}:{preset}" for preset in preset_names("strategies", name))]:
        strategy = load_strategy(full)
        assert strategy.title and strategy.source


def test_another_number_of_epochs() -> None:
    strategy = load_strategy("gumbel")
    assert strategy.with_epochs(None) is strategy
    assert strategy.with_epochs(7).epochs == 7
    assert strategy.with_epochs(7).warmup_epochs == strategy.warmup_epochs
    with pytest.raises(InputError, match="masks: epochs: .*got 0"):
        strategy.with_epochs(0)


def test_other_settings() -> None:
    strategy = load_strategy("gumbel")
    changed = strategy.with_settings(epochs=7, weights={"lr": 0.02})
    assert (changed.epochs, changed.weights.lr) == (7, 0.02)
    # all else stays, in that group of settings too
    assert changed.weights.schedule == strategy.weights.schedule != "constant"
    assert changed.with_settings(epochs=500, weights={"lr": strategy.weights.lr}) == strategy
    with pytest.raises(InputError, match="masks: weights.speed: unknown key"):
        strategy.with_settings(weights={"speed": 1})
    with pytest.raises(InputError, match="masks: epochs: .*got -1"):
        strategy.with_settings(epochs=-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": ...}, "epochs: missing"),
        ({"masks.optimizer.lr": ...}, "masks.optimizer.lr: missing"),
        ({"epochs": 0}, "epochs: input should be greater than or equal to 1, got 0"),
        ({"epochs": 2.0}, "epochs: input should be a valid integer, got 2.0"),
        ({"epochs": True}, "epochs: expected a number, got True"),
        ({"warmup_epochs": -1}, "warmup_epochs: .*got -1"),
        ({"batch_size": "32"}, "batch_size: .*got '32'"),
        ({"validation": 1.0}, "validation: .*less than 1, got 1.0"),
        ({"validation": 0}, "validation: .*greater than 0, got 0"),
        ({"mask_every": 0}, "mask_every: .*got 0"),
        ({"epoch": 3}, "epoch: unknown key"),
        ({"format": 2}, "format: .*got 2"),
        ({"weights.lr": 0}, "weights.lr: .*got 0"),
        ({"weights.lr": float("inf")}, "weights.lr: .*got inf"),
        ({"weights.name": "adm"}, "weights.name: .*'adam' or 'sgd', got 'adm'"),
        ({"weights.warmup": 1.0}, "weights.warmup: .*got 1.0"),
        ({"weights.warmup": -0.1}, "weights.warmup: .*got -0.1"),
        ({"weights.betas": [0.9]}, "weights.betas"),
        ({"weights.betas": [0.9, 1.0]}, "weights.betas.1: .*got 1.0"),
        ({"weights": 3}, "weights: .*got 3"),
        ({"masks.relaxation": "gumble"}, "masks.relaxation: .*got 'gumble'"),
        ({"masks.init": "zeros"}, "masks.init: .*got 'zeros'"),
        ({"masks.confidence": 1}, "masks.confidence: .*got 1"),
        ({"masks.temperature.end": -1.0}, "masks.temperature.end: .*got -1.0"),
        ({"masks.temperature.schedule": "steps"}, "masks.temperature.schedule: .*got 'steps'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"^bad\.yaml: {message}") as caught:
        load_strategy(write(folder, change))
    assert "\n" not in str(caught.value)


def test_all_wrong_settings_are_named_at_once(folder: Path) -> None:
    with pytest.raises(InputError, match="epochs: .*; masks.init: .*; extra: unknown key"):
        load_strategy(write(folder, {"epochs": 0, "masks.init": "x", "extra": 1}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gumbl", "'gumbl' is not among the strategies; did you mean 'gumbel'"),
        ("mine:quik", "strategies/mine.yaml: preset 'quik': did you mean 'quick'.*deep, quick"),
        ("nowhere/mine.yaml", "nowhere/mine.yaml: no such file"),
    ],
)
def test_unknown_names(folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_strategy(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping of settings, got None"),
        ("[1, 2]", "expected a mapping of settings"),
        ("title: [", "bad.yaml:1: is not YAML"),
        ("epochs: 1\nepochs: 2", "bad.yaml:2: is not YAML: key 'epochs' stands twice"),
        ("presets: 3", "presets: expected a mapping"),
        ("presets: {quick: 3}", "presets: expected a mapping"),
        ("!!python/object/apply:os.system [touch executed]", "bad.yaml:1: is not YAML"),
    ],
)
def test_files_that_are_no_strategy(folder: Path, text: str, message: str) -> None:
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_strategy("bad.yaml")
    assert not (folder / "executed").exists()


def test_a_preset_is_checked_too(folder: Path) -> None:
    text = TEXT.replace("quick: {epochs: 3}", "quick: {epochs: 0}")
    (folder / "bad.yaml").write_text(text)
    load_strategy("bad.yaml")
    with pytest.raises(InputError, match=r"^bad.yaml: epochs: .*got 0"):
        load_strategy("bad.yaml:quick")
