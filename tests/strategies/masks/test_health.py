"""What the history says about the masks: each finding by a history of its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import groupnas
from groupnas.schema import validate
from groupnas.strategies.masks.health import diagnose, diagnose_errors, vitals
from groupnas.strategies.masks.settings import MaskSearch

HEALTHY = {
    "phase": "search",
    "mask_gradient": 1e-3,
    "empty": [],
    "moved": 0.3,
    "entropy": 0.5,
    "changed": 0.01,
}
WARMUP = {**HEALTHY, "phase": "warmup", "mask_gradient": None, "moved": 0.0, "entropy": 1.0}


def history(epochs: int = 4, **last: Any) -> list[dict[str, Any]]:
    return [WARMUP, *[HEALTHY] * (epochs - 1), {**HEALTHY, **last}]


def means(**errors: float) -> dict[str, dict[str, float]]:
    return {network: {"mean": error} for network, error in errors.items()}


def settings(masks: dict[str, Any] | None = None, **changes: Any) -> MaskSearch:
    """Four search epochs of a Gumbel search from even groups."""
    data: dict[str, Any] = {
        "title": "test",
        "warmup_epochs": 1,
        "epochs": 4,
        "batch_size": 8,
        "validation": 0.3,
        "weights": {"name": "adam", "lr": 0.01},
        "masks": {"init": "even", "optimizer": {"name": "adam", "lr": 0.1}, **(masks or {})},
    }
    return validate(MaskSearch, {**data, **changes}, "test")


GUMBEL = settings()


def advice(strategy: MaskSearch, **last: Any) -> str:
    (finding,) = diagnose(history(4, **last), strategy)
    return finding.split("; ")[1]


def test_advice_is_of_what_the_run_does_not_do_yet() -> None:
    silent, undecided = {"moved": 0.0}, {"entropy": 0.95}
    lr = "a larger masks.optimizer.lr"
    joint = settings({"optimizer": None}, levels=1)
    softmax = settings({"relaxation": "softmax_hard", "init": "ones"})
    confidence = "a smaller masks.confidence"
    assert advice(GUMBEL, **silent) == f"{lr} or {confidence} would move them"
    assert advice(joint, **silent) == f"a larger weights.lr or {confidence} would move them"
    assert advice(softmax, **silent) == f"{lr} or a Gumbel masks.relaxation would move them"
    assert advice(settings({"init": "ones"}), **silent) == f"{lr} would move them"
    entropy = "masks.entropy would decide them"
    assert advice(GUMBEL, **undecided) == f"more epochs, {lr} or a positive {entropy}"
    costly = settings({"entropy": 0.1})
    assert advice(costly, **undecided) == f"more epochs, {lr} or a larger {entropy}"

    blind = means(constant=5.0, supernet=6.0, derived=6.0)
    assert diagnose_errors(blind, GUMBEL)[0].endswith("learn from; train longer")
    (finding,) = diagnose_errors(blind, softmax)
    assert finding.endswith("learn from; train longer or use masks.init: even")


def test_healthy() -> None:
    for epochs in (1, 2, 4):
        assert diagnose(history(epochs), GUMBEL) == []
    assert diagnose([], GUMBEL) == diagnose([WARMUP], GUMBEL) == []


@pytest.mark.parametrize(
    ("last", "finding"),
    [
        ({"mask_gradient": 0.0}, "dead: no gradient reaches the masks"),
        ({"empty": ["stem/ring", "head/disc"]}, "collapsed: no channel prefers stem/ring, head/d"),
        ({"moved": 0.019}, "silent: 1.9% of the channels left"),
        ({"entropy": 0.91}, "undecided: entropy 0.91 of 1"),
        ({"changed": 0.051}, "restless: 5.1% of the channels"),
    ],
)
def test_each_finding_alone(last: dict[str, Any], finding: str) -> None:
    found = diagnose(history(4, **last), GUMBEL)
    assert len(found) == 1 and found[0].startswith(finding)
    assert "\n" not in found[0]


def test_just_inside_the_bounds() -> None:
    last = {"moved": 0.02, "entropy": 0.9, "changed": 0.05}
    assert diagnose(history(4, **last), GUMBEL) == []


def test_what_time_still_mends_is_not_said_early() -> None:
    eight = GUMBEL.with_epochs(8)
    early = {"moved": 0.0, "entropy": 1.0, "changed": 1.0}
    assert diagnose(history(1, **early), eight) == []
    # a quarter of the search is enough to move, not to decide
    assert [f.split(":")[0] for f in diagnose(history(2, **early), eight)] == ["silent"]


def test_vitals_by_hand(shapes_space: groupnas.SearchSpace) -> None:
    net = groupnas.Supernet(shapes_space, init="even", confidence=0.8)
    undecided = (0.8 * math.log(1 / 0.8) + 0.2 * math.log(1 / 0.1)) / math.log(3)
    found = vitals(net)
    assert found["entropy"] == pytest.approx(undecided, rel=1e-5)
    assert found["decided"] == 0 and found["empty"] == []

    # One unit certain of its first group alone: 12 of 114 channels decided, two groups empty.
    stem = net.channel_masks()["stem"]
    with torch.no_grad():
        stem.logits.copy_(torch.tensor([50.0, 0.0, 0.0]).expand(12, 3))
    total = sum(shapes_space.free_units.values())
    found = vitals(net)
    assert found["empty"] == ["stem/square", "stem/ring"]
    assert found["decided"] == pytest.approx(12 / total)
    assert found["entropy"] == pytest.approx(undecided * (total - 12) / total, rel=1e-5)


@pytest.mark.parametrize(
    ("supernet", "derived", "blind"),
    [(4.7, 6.0, False), (6.0, 4.7, False), (4.8, 6.0, True), (6.0, 6.0, True)],
)
def test_networks_no_better_than_a_constant_are_blind(
    supernet: float, derived: float, blind: bool
) -> None:
    errors = {"constant": 5.0, "supernet": supernet, "derived": derived}
    findings = diagnose_errors(means(**errors), GUMBEL)
    assert len(findings) == blind and all(text.startswith("blind: ") for text in findings)
