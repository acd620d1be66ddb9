"""A tabular benchmark's table: the error of every part at every size, for some seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from groupnas.arrays import fault, read_arrays, write_arrays
from groupnas.errors import InputError
from groupnas.saved import Saved, parse_saved
from groupnas.schema import validate

FORMAT = 1

Singles = NDArray[np.float32]
AtLeastOne = Annotated[int, Field(ge=1)]
_NOTHING = np.zeros(0, np.float32)


class TableTraining(Saved):
    """The training of a table's networks."""

    epochs: AtLeastOne


class About(Saved):
    """The keys of a table's description that are read; all others are for people."""

    format: Literal[1]
    parts: Annotated[list[str], Field(min_length=1)]
    largest: Annotated[dict[str, AtLeastOne], Field(min_length=2, max_length=2)]
    seeds: AtLeastOne
    training: TableTraining


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Errors of G parts, of sizes up to A and B in the two units, for S seeds and E epochs.

    Attributes:
        validation: ``(G, A, B, S, E)`` float32, validation error after every epoch; sizes count
            from 1.
        test: ``(G, A, B, S)`` float32, error at the end on samples that no search sees.
        about: How it was made: what its rows are of (``parts``), largest sizes, seeds, training,
            samples, versions, seconds.
    """

    validation: Singles = field(repr=False)
    test: Singles = field(repr=False)
    about: Mapping[str, Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.npz`` file, whole or not at all."""
        about = np.array(json.dumps({"format": FORMAT, **self.about}))
        write_arrays(path, {"validation": self.validation, "test": self.test, "about": about})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Read :meth:`save`'s file.

        Raises:
            InputError: it cannot be read, is no such table, or is not complete.
        """
        arrays = read_arrays(path)
        if text := fault(arrays, "about", "U", ()):
            raise InputError(f"{path}: is not a table of a benchmark: {text}")
        about = parse_saved(str(arrays["about"]), f"{path}: about")
        validate(About, about, f"{path}: about")
        table = cls(
            validation=arrays.get("validation", _NOTHING),
            test=arrays.get("test", _NOTHING),
            about=about,
        )
        table._check(str(path))
        return table

    def _check(self, path: str) -> None:
        about = self.about
        shape = (len(about["parts"]), *about["largest"].values(), about["seeds"])
        epochs = about["training"]["epochs"]
        kinds = {self.test.dtype, self.validation.dtype}
        shapes = (self.test.shape, self.validation.shape)
        if shapes != (shape, (*shape, epochs)) or kinds != {np.dtype("float32")}:
            raise InputError(
                f"{path}: expected errors of shape {shape} after {epochs} epochs, got "
                f"{self.test.shape} and {self.validation.shape}"
            )
        if not (np.isfinite(self.test).all() and np.isfinite(self.validation).all()):
            raise InputError(f"{path}: is not complete: an error is missing")
