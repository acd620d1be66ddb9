"""The split of the training samples: weights learn from one side, masks from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.engine.state import check_indices
from groupnas.errors import InputError
from groupnas.values import listed, number, whole
from groupnas.values import seed as seed_of


@dataclass(frozen=True)
class Split:
    """Indices of the samples on either side, int64; no source has samples on both.

    Raises:
        InputError: what is no list of whole numbers from 0 on.
    """

    train: Tensor
    validation: Tensor

    def __post_init__(self) -> None:
        for side in ("train", "validation"):
            object.__setattr__(self, side, _indices(side, getattr(self, side)))

    def check_fits(self, sources: Sequence[str]) -> None:
        """Raise :class:`InputError` unless both sides hold samples, and the task has them all."""
        for side in ("train", "validation"):
            indices = getattr(self, side)
            if not len(indices):
                raise InputError(f"split: {side}: expected at least one sample")
            if int(indices.max()) >= len(sources):
                raise InputError(
                    f"split: {side}: sample {int(indices.max())} is not among the task's "
                    f"{len(sources)}"
                )

    def __repr__(self) -> str:
        return f"Split({len(self.train)} samples train, {len(self.validation)} validate)"

    def sources(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """Return the sources on either side, sorted: what the run folder records."""
        return {
            side: sorted({sources[i] for i in getattr(self, side).tolist()})
            for side in ("train", "validation")
        }


def _indices(side: str, given: Any) -> Tensor:
    indices = given if isinstance(given, Tensor) else _as_tensor(side, given)
    if indices.dim() != 1 or indices.is_floating_point() or indices.dtype is torch.bool:
        dtype = str(indices.dtype).removeprefix("torch.")
        raise InputError(
            f"split: {side}: expected the indices of samples, one after the other; got shape "
            f"{tuple(indices.shape)} of {dtype}"
        )
    if len(indices) and int(indices.min()) < 0:
        raise InputError(f"split: {side}: expected indices from 0 on, got {int(indices.min())}")
    return indices.long()


def _as_tensor(side: str, given: Any) -> Tensor:
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "iu":
        return torch.from_numpy(given.astype(np.int64))
    entries = listed(f"split: {side}", given)
    return torch.tensor([whole(f"split: {side}", entry) for entry in entries], dtype=torch.long)


def split_by_source(sources: Sequence[str], share: float, seed: int) -> Split:
    """Split samples so that about ``share`` of them validate, source by source.

    Args:
        sources: What every sample is from, e.g. its image.
        share: Wanted share of the validation side, in (0, 1).
        seed: The same seed and sources give the same split.

    Raises:
        InputError: fewer than two sources, or a share or a seed that is none.
    """
    every = sorted(set(sources))
    if len(every) < 2:
        raise InputError(f"the training data has {len(every)} source(s); a split needs at least 2")
    share = number("share", share, above=0, below=1)
    generator = torch.Generator().manual_seed(seed_of("seed", seed))
    wanted = share * len(sources)
    members: dict[str, list[int]] = {source: [] for source in every}
    for index, source in enumerate(sources):
        members[source].append(index)
    validation: list[int] = []
    order = torch.randperm(len(every), generator=generator).tolist()
    # The last source drawn always trains, so that neither side is empty.
    for position in order[:-1]:
        if validation and len(validation) >= wanted:
            break
        validation += members[every[position]]
    held_out = set(validation)
    train = [index for index in range(len(sources)) if index not in held_out]
    return Split(torch.tensor(train), torch.tensor(sorted(validation)))


class Stream:
    """An endless, reshuffled sequence of batches of indices, whose place can be saved.

    With ``weights`` ``(len(indices),)`` a pass draws as many indices as there are, with replacement
    and in proportion to their weights. Batches all have ``min(batch_size, len(indices))`` samples;
    what is left over of a pass that does not fill one is skipped, other samples in each pass.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        generator: torch.Generator,
        weights: Tensor | None = None,
    ) -> None:
        self._indices = indices
        self._weights = weights
        self._generator = generator
        self._order = indices[:0]
        self.batch_size = min(batch_size, len(indices))

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass over the samples."""
        return len(self._indices) // self.batch_size

    def __next__(self) -> Tensor:
        if len(self._order) < self.batch_size:
            self._order = self._indices[self._pass()]
        batch, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        return batch

    def _pass(self) -> Tensor:
        count = len(self._indices)
        if self._weights is None:
            return torch.randperm(count, generator=self._generator)
        return torch.multinomial(self._weights, count, True, generator=self._generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is left of the current pass."""
        return {"order": self._order.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resume where the saved stream stood.

        Raises:
            InputError: it is a stream of other samples.
        """
        check_indices(state["order"], self._indices, "order")
        self._order = state["order"].clone()
