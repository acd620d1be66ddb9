"""Measurements, each epoch, of whether the masks learn, and findings where they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from groupnas.spaces.supernet import Supernet
from groupnas.strategies.masks.settings import MaskSearch

UNDECIDED_ENTROPY = 0.9
SILENT_MOVED = 0.02
RESTLESS_CHANGED = 0.05
DECIDED = 0.9
BLIND_ERROR = 0.95


def vitals(net: Supernet) -> dict[str, Any]:
    """Return the masks' ``entropy`` and ``decided``, and the groups that no channel prefers.

    ``entropy`` is the mean over all channels of the entropy of their probabilities over ln G, in
    [0, 1]; ``decided`` the share of channels whose likeliest group has at least 0.9; ``empty`` the
    ``unit/group`` pairs that only the repair keeps alive.
    """
    masks = net.channel_masks()
    channels = sum(len(mask.logits) for mask in masks.values())
    entropy = sum(mask.entropy().item() * len(mask.logits) for mask in masks.values())
    decided = sum(
        int((mask.probabilities().amax(dim=1) >= DECIDED).sum()) for mask in masks.values()
    )
    empty = [
        f"{unit}/{group}"
        for unit, mask in masks.items()
        for index, group in enumerate(net.space.groups)
        if not bool((mask.logits.argmax(dim=1) == index).any())
    ]
    return {"entropy": entropy / channels, "decided": decided / channels, "empty": empty}


def diagnose(history: Sequence[Mapping[str, Any]], strategy: MaskSearch) -> list[str]:
    """Return findings on the masks after the last record of ``history``; often none.

    Args:
        history: Records of the epochs so far, the warm-up's included.
        strategy: The run's settings; what they have already is not advised.
    """
    searched = [record for record in history if record["phase"] == "search"]
    if not searched:
        return []
    last, findings = searched[-1], []
    progress = len(searched) / strategy.epochs
    masks = strategy.masks
    rate = "weights.lr" if strategy.levels == 1 else "masks.optimizer.lr"
    if last["mask_gradient"] == 0:
        findings.append("dead: no gradient reaches the masks")
    if last["empty"]:
        findings.append(
            f"collapsed: no channel prefers {', '.join(last['empty'])}; each was given one"
        )
    if progress >= 0.25 and last["moved"] < SILENT_MOVED:
        findings.append(
            f"silent: {last['moved']:.1%} of the channels left their first group; "
            + _either(
                f"a larger {rate}",
                "" if masks.relaxation.startswith("gumbel") else "a Gumbel masks.relaxation",
                "a smaller masks.confidence" if masks.init == "even" else "",
            )
            + " would move them"
        )
    if progress == 1 and last["entropy"] > UNDECIDED_ENTROPY:
        findings.append(
            f"undecided: entropy {last['entropy']:.2f} of 1; "
            + _either(
                "more epochs",
                f"a larger {rate}",
                "a larger masks.entropy" if masks.entropy else "a positive masks.entropy",
            )
            + " would decide them"
        )
    if progress == 1 and last["changed"] > RESTLESS_CHANGED:
        findings.append(
            f"restless: {last['changed']:.1%} of the channels still changed group in the last epoch"
        )
    return findings


def diagnose_errors(errors: Mapping[str, Mapping[str, float]], strategy: MaskSearch) -> list[str]:
    """Return findings by the validation errors at the end of a search.

    Args:
        errors: ``constant``, ``supernet`` and ``derived``; see
            :func:`groupnas.strategies.masks.errors.final_errors`.
        strategy: The run's settings.
    """
    constant = errors["constant"]["mean"]
    best = min(errors["supernet"]["mean"], errors["derived"]["mean"])
    if not math.isfinite(best):
        return [f"diverged: the validation error is {best}; lower weights.lr"]
    if best < BLIND_ERROR * constant:
        return []
    return [
        f"blind: an error of {best:.2f} is no better than a constant output's {constant:.2f}, so "
        "the masks had nothing to learn from; "
        + _either("train longer", "" if strategy.masks.init == "even" else "use masks.init: even")
    ]


def _either(*remedies: str) -> str:
    """Return the remedies that are not empty: ``"a, b or c"``."""
    *others, last = filter(None, remedies)
    return f"{', '.join(others)} or {last}" if others else last
