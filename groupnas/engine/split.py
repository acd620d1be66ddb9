"""The split of the training samples: weights learn from one side, masks from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groupnas.errors import InputError


@dataclass(frozen=True)
class Split:
    """Indices of the samples on either side, int64; no source has samples on both."""

    train: Tensor
    validation: Tensor

    def sources(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """The photos on either side, sorted: what the run folder records."""
        return {
            side: sorted({sources[i] for i in getattr(self, side).tolist()})
            for side in ("train", "validation")
        }


def split_by_source(sources: Sequence[str], share: float, seed: int) -> Split:
    """Split samples so that about ``share`` of them validate, photo by photo.

    Args:
        sources: The photo of every sample.
        share: Wanted share of the validation side, in (0, 1).
        seed: The same seed and sources give the same split.

    Raises:
        InputError: fewer than two photos.
    """
    photos = sorted(set(sources))
    if len(photos) < 2:
        raise InputError(f"the training data has {len(photos)} photo(s); a split needs at least 2")
    generator = torch.Generator().manual_seed(seed)
    wanted = share * len(sources)
    members: dict[str, list[int]] = {photo: [] for photo in photos}
    for index, photo in enumerate(sources):
        members[photo].append(index)
    validation: list[int] = []
    order = torch.randperm(len(photos), generator=generator).tolist()
    # The last photo drawn always trains, so that neither side is empty.
    for position in order[:-1]:
        if validation and len(validation) >= wanted:
            break
        validation += members[photos[position]]
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
        """What is left of the current pass."""
        return {"order": self._order.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where the saved stream stood."""
        self._order = state["order"].clone()
