"""What any recipe may ask for, all at once: it trains, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from groupnas.engine.observer import Observer
from groupnas.errors import InputError
from groupnas.landmarks.losses import AdaptiveLoss
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.recipe import Loss, Recipe, load_recipe
from groupnas.landmarks.train import train_cascade
from groupnas.runs.folder import RunFolder
from groupnas.schema import merged, validate

BUSY: dict[str, Any] = {
    "steps": {
        "global": {
            "augmentation": {
                "shear": 0.1,
                "erase": 0.5,
                "blur": 1.0,
                "noise": 5.0,
                "saturation": 0.4,
                "brightness": 0.4,
                "contrast": 0.4,
                "pca": 0.05,
            },
            "loss": {"name": "adaptive", "alpha": 1.0},
            "training": {
                "epochs": 4,
                "weights": {"schedule": "plateau", "lr": 0.1, "patience": 0, "slow": {"stem": 0.5}},
            },
        },
        "local": {
            "augmentation": {"shear": 0.1, "erase": 0.5, "blur": 1.0, "noise": 5.0},
            "loss": {"name": "adaptive", "unit": 8.0},
            "training": {"weights": {"schedule": "poly", "power": 0.9}},
        },
    }
}


def busy(**changes: Any) -> Recipe:
    data = merged(load_recipe("small").model_dump(), BUSY)
    return validate(Recipe, merged(data, {"steps": changes}), "busy")


class Stopped(Exception):
    """Stands for whatever ends a process."""


class Stops(Observer):
    def epoch_ended(self, record: dict[str, Any]) -> None:
        if record["epoch"] == 2:
            raise Stopped


def test_it_trains_and_goes_on(small: Path) -> None:
    go: dict[str, Any] = {"root": None, "limit": 24, "quiet": True}
    train_cascade(busy(), "whole", **go)
    with pytest.raises(Stopped):
        train_cascade(busy(), "stopped", observers=lambda stage: [Stops()], **go)
    train_cascade(busy(), "stopped", resume=True, **go)
    for name in ("model.json", "model.safetensors", "global/history.jsonl", "local/history.jsonl"):
        assert Path("stopped", name).read_bytes() == Path("whole", name).read_bytes(), name
    groups = RunFolder("whole/global").load_checkpoint()["optimizer"]["param_groups"]
    rates = [group["lr"] for group in groups]
    assert len(rates) == 2 and rates[0] == pytest.approx(rates[1] / 2)
    card = load_recipe("small").model_dump()  # plain recipes record what they always did
    assert "slow" not in card["steps"]["global"]["training"]["weights"]


def test_mistakes_are_named(small: Path) -> None:
    with pytest.raises(InputError, match="steps.global: training.weights.slow: no row .trunk.;"):
        wrong = {"global": {"training": {"weights": {"slow": {"trunk": 0.1}}}}}
        train_cascade(busy(**wrong), "wrong", root=None, limit=24, quiet=True)
    with pytest.raises(InputError, match="augmentation.saturation: grey crops have no colours"):
        grey = {"local": {"augmentation": {"saturation": 0.4}}}
        train_cascade(busy(**grey), "grey", root=None, limit=24, quiet=True)
    for stage, key, value, said in (
        ("global", "loss", {"alpha": 0.6}, "alpha: adaptive looks along no boundary"),
        ("global", "loss", {"unit": 0}, "loss.unit"),
        ("local", "augmentation", {"erase": 1.5}, "augmentation.erase: .*got 1.5"),
        ("local", "augmentation", {"erased": [0, 0.3]}, "augmentation.erased.0: .*got 0"),
        ("local", "augmentation", {"blur": -1}, "augmentation.blur: .*got -1"),
    ):
        with pytest.raises(InputError, match=said):
            busy(**{stage: {key: value}})


def test_the_adaptive_loss_of_a_recipe() -> None:
    loss = Loss(name="adaptive", unit=8.0).of(MARKUPS[68])
    assert loss == AdaptiveLoss(8.0)
    assert loss(torch.ones(2, 3, 2), torch.zeros(2, 3, 2)) == 1
    assert repr(Loss(name="adaptive").of(MARKUPS[68])) == "AdaptiveLoss(unit='relative')"
