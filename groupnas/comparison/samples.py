"""Errors of every sample and group: what is measured of a network, and kept of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import fault, read_arrays, write_arrays
from groupnas.engine.missing import known_counts, known_means, with_mean
from groupnas.errors import InputError

if TYPE_CHECKING:
    from torch import nn

_SUBSET = "subset."


@dataclass(frozen=True, kw_only=True)
class SampleErrors:
    """The errors of one network on one set of samples.

    Attributes:
        errors: ``(N, G)`` float64, of every sample and group, in :attr:`unit`: NaN where a sample
            does not show a group, infinite where the network diverged.
        groups: Names of the G groups.
        weights: ``(G,)`` float64, of the groups in a sample's mean: how many outputs each has.
        sources: ``(N,)`` str, what every sample is from, e.g. its image.
        unit: E.g. ``"NME %"``.
        subsets: ``(N,)`` bool each: which samples belong to it.
    """

    errors: NDArray[np.float64] = field(repr=False)
    groups: tuple[str, ...]
    weights: NDArray[np.float64] = field(repr=False)
    sources: NDArray[np.str_] = field(repr=False)
    unit: str
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def table(self, subset: str | None = None) -> NDArray[np.float64]:
        """Return ``(N, G + 1)``: errors of every group, then :func:`with_mean`'s mean of them."""
        table = with_mean(self.errors, self.weights)
        return table if subset is None else table[self.subsets[subset]]

    def sources_of(self, subset: str | None = None) -> NDArray[np.str_]:
        """Return the source of every sample of a subset, or of all."""
        return self.sources if subset is None else self.sources[self.subsets[subset]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The groups, and ``mean``: the columns of :meth:`table`."""
        return (*self.groups, "mean")

    def means(self, subset: str | None = None) -> dict[str, float]:
        """Return the mean error of every group that a sample shows, and ``mean`` over them."""
        means = known_means(self.table(subset)).tolist()
        counts = self.counts(subset)
        return {name: mean for name, mean in zip(self.columns, means, strict=True) if counts[name]}

    def counts(self, subset: str | None = None) -> dict[str, int]:
        """Return how many samples show each group, and any at all: ``mean``."""
        counts = known_counts(self.table(subset)).tolist()
        return dict(zip(self.columns, counts, strict=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an ``.npz``, whole or not at all."""
        arrays = {
            "errors": self.errors,
            "groups": np.array(self.groups),
            "weights": self.weights,
            "sources": self.sources,
            "unit": np.array(self.unit),
            **{_SUBSET + name: members for name, members in self.subsets.items()},
        }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SampleErrors:
        """Read what :meth:`save` wrote; an :class:`InputError` names a file that is not that."""
        try:
            arrays = read_arrays(path)
        except InputError as error:
            raise InputError(f"{error}; remove it and resume") from error
        subsets = [name for name in arrays if name.startswith(_SUBSET)]
        rows, columns = (arrays[n].size if n in arrays else 0 for n in ("sources", "groups"))
        faults = [
            fault(arrays, "sources", "U", (rows,)),
            fault(arrays, "groups", "U", (columns,)),
            fault(arrays, "errors", "float64", (rows, columns)),
            fault(arrays, "weights", "float64", (columns,)),
            fault(arrays, "unit", "U", ()),
            *(fault(arrays, name, "bool", (rows,)) for name in subsets),
        ]
        if not any(faults):
            weights = arrays["weights"]
            usable = np.isfinite(weights).all() and (weights >= 0).all() and weights.any()
            faults += [] if usable else ["weights: expected numbers from 0 on, not all 0"]
            faults += [] if rows else ["it holds no sample"]
        for text in filter(None, faults):
            raise InputError(f"{path}: is damaged or holds no errors: {text}; remove it and resume")
        return cls(
            errors=arrays["errors"],
            groups=tuple(arrays["groups"].tolist()),
            weights=arrays["weights"],
            sources=arrays["sources"],
            unit=str(arrays["unit"]),
            subsets={name.removeprefix(_SUBSET): arrays[name] for name in subsets},
        )


Scorer = Callable[["nn.Module"], SampleErrors]
"""Measures a trained network, which maps the task's inputs to its outputs, on further samples."""
