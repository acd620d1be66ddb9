"""GroupBench's table: the error of every part at every size, for some seeds."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.files import atomic_path

FORMAT = 1

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """What was trained. P parts, A and B the largest sizes in the two units, S seeds, E epochs.

    Attributes:
        validation: ``(P, A, B, S, E)`` float32, validation error after every epoch; sizes count
            from 1.
        test: ``(P, A, B, S)`` float32, error at the end on faces that no search sees.
        about: How it was made: parts, largest sizes, training, faces, versions, seconds.
    """

    validation: Floats = field(repr=False)
    test: Floats = field(repr=False)
    about: Mapping[str, Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.npz`` file, whole or not at all."""
        about = json.dumps({"format": FORMAT, **self.about})
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, validation=self.validation, test=self.test, about=np.array(about)
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Read :meth:`save`'s file.

        Raises:
            InputError: it cannot be read, is no such table, or is not complete.
        """
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                table = cls(
                    validation=arrays["validation"],
                    test=arrays["test"],
                    about=json.loads(str(arrays["about"])),
                )
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path}: cannot be read: {reason}") from error
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: is not a table of GroupBench: {error}") from error
        table._check(str(path))
        return table

    def _check(self, path: str) -> None:
        about = self.about
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise InputError(f"{path}: expected a table of GroupBench in format {FORMAT}")
        if missing := [
            key for key in ("parts", "largest", "seeds", "training") if key not in about
        ]:
            raise InputError(f"{path}: does not say its {', '.join(missing)}; make it again")
        shape = (len(about["parts"]), *about["largest"].values(), about["seeds"])
        epochs = about["training"]["epochs"]
        if self.test.shape != shape or self.validation.shape != (*shape, epochs):
            raise InputError(
                f"{path}: expected errors of shape {shape} after {epochs} epochs, got "
                f"{self.test.shape} and {self.validation.shape}"
            )
        if not (np.isfinite(self.test).all() and np.isfinite(self.validation).all()):
            raise InputError(f"{path}: is not complete: an error is missing")
