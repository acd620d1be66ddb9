"""What a better division of channels consists of: the split, and the spread over depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.spaces.allocation import Allocation
from groupnas.tabular.bench import EVEN, Curve, TabularBench

Lever = Literal["split", "depth", "both"]


def best_by(
    bench: TabularBench,
    lever: Lever,
    curves: Mapping[str, Curve] | None = None,
) -> Allocation:
    """Return the allocation of the least error that a lever alone can reach.

    Args:
        bench: Whose parts are allocated.
        lever: ``split``: what a group costs is free, but its sizes keep the proportions of even
            ones over depth, up to whole channels; ``depth``: its sizes are free, but no group costs
            more than among even ones; ``both``: all that costs no more than even groups together.
        curves: By which errors are told, from :meth:`TabularBench.curves`; by default means of the
            test errors over all trainings, so that the result is the true best.

    Raises:
        InputError: the table has no such sizes.
    """
    curves = bench.curves(split="test") if curves is None else curves
    budget = EVEN
    if lever == "depth":
        groups = dict.fromkeys(curves, 1.0)
        budget = Budget(total=None, groups=groups, tolerance=EVEN.tolerance)
    if lever == "split":
        counts = Allocation.even(bench.space()).grouping.counts()
        curves = {
            group: _proportional(curve, [row[group] for row in counts.values()])
            for group, curve in curves.items()
        }
    sizes = bench.best_sizes(budget, curves)
    if sizes is None:
        raise InputError(f"{lever}: no grouping of the table costs as little as even groups")
    return bench.allocation(sizes)


def _proportional(curve: Curve, even: list[int]) -> Curve:
    """Return the sizes alone that are a multiple of the even ones, rounded."""
    scales = np.linspace(0.1, curve.sizes.max(), 2000)[:, None]
    shapes = {tuple(row) for row in np.maximum(np.rint(scales * even), 1).astype(int).tolist()}
    kept = np.array([tuple(row) in shapes for row in curve.sizes.tolist()])
    return Curve(curve.sizes[kept], curve.costs[kept], curve.errors[kept])
