"""The trainable membership of channels in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.grouping import best_valid
from groupnas.nn.indices import KeepsIndices, check_readable
from groupnas.nn.reading import best_valid_groups
from groupnas.nn.relaxation import RELAXATIONS
from groupnas.nn.window import check_channels

MaskInit = Literal["ones", "normal", "even"]

_PINNED = "pinned_groups"


class ChannelMask(KeepsIndices):
    """Logits over ``groups`` for each of ``channels`` channels.

    Calling it gives a mask ``(C, G)``: in training mode a draw of the relaxation (a new one each
    call: layers that share a unit must share one draw), in evaluation mode, or once pinned, the
    one-hot rows of :meth:`discrete`.

    The groups are the best valid reading of the logits as they are at that moment (every group
    keeps a channel), or those that are pinned. Pinned groups are part of the state dict, as extra
    state, but no buffer: averages of weights and buffers leave them alone.

    Args:
        channels: C, how many there are.
        groups: G, at most C.
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Logits all one (paper 000, Algorithm 1), N(0, 1) (FLGC), or an even division.
        confidence: With an even division, the probability in (1 / G, 1) of a channel's own group.

    Raises:
        InputError: numbers that are none or below 1, more groups than channels, or an unknown
            relaxation or init.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
        confidence: float = 0.9,
    ) -> None:
        super().__init__()
        check_channels(channels=channels, groups=groups)
        if groups > channels:
            raise InputError(f"{channels} channels cannot hold {groups} groups")
        if relaxation not in RELAXATIONS:
            raise InputError(f"relaxation {relaxation!r}: {nearest(relaxation, RELAXATIONS)}")
        if init not in get_args(MaskInit):
            raise InputError(f"mask init {init!r}: {nearest(init, get_args(MaskInit))}")
        if init == "even" and not 1 / groups < confidence < 1:
            raise InputError(f"mask confidence: expected 1/{groups} to 1, got {confidence}")
        self.groups = groups
        self.relaxation = relaxation
        self.init, self.confidence = init, confidence
        self.temperature = 1.0
        self.logits = nn.Parameter(torch.empty(channels, groups))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start anew, as ``init`` says."""
        if self.init == "normal":
            nn.init.normal_(self.logits)
            return
        nn.init.ones_(self.logits)
        if self.init == "even":
            own = best_valid([[1.0] * self.groups] * len(self.logits))
            # softmax gives the own group its confidence, and the others equal parts of the rest
            odds = self.confidence * (self.groups - 1) / (1 - self.confidence)
            rows = self._one_hot(torch.tensor(own, device=self.logits.device))
            with torch.no_grad():
                self.logits.add_(rows * math.log(odds))

    @classmethod
    def fixed(cls, assignment: Sequence[int], groups: int) -> ChannelMask:
        """A mask that is never learned, e.g. of a network's input; ``assignment`` is ``(C,)``."""
        mask = cls(len(assignment), groups)
        mask.pin(assignment)
        mask.logits.requires_grad_(False)
        return mask

    @property
    def pinned(self) -> bool:
        """True where the groups are given, whatever the logits say."""
        return _PINNED in self._indices

    def forward(self) -> Tensor:
        """The mask, ``(C, G)`` in the logits' dtype."""
        if self.training and not self.pinned:
            return RELAXATIONS[self.relaxation](self.logits, self.temperature)
        mask = self._one_hot(self.discrete())
        if self.logits.requires_grad and torch.is_grad_enabled() and _reduces_gradients():
            # DistributedDataParallel waits for a gradient of every parameter: exactly 0, of
            # whatever is in the logits.
            mask = torch.where(torch.zeros_like(mask, dtype=torch.bool), self.logits, mask)
        return mask

    def probabilities(self) -> Tensor:
        """softmax(logits), ``(C, G)``: what the Gumbel relaxations draw from; differentiable.

        A pinned mask is certain: its one-hot rows.
        """
        return self() if self.pinned else F.softmax(self.logits, dim=1)

    def entropy(self) -> Tensor:
        """Mean entropy of the channels' probabilities over ln G: 1 undecided, 0 decided."""
        p = self.probabilities()
        return torch.special.entr(p).sum(dim=1).mean() / max(math.log(self.groups), 1e-12)

    def discrete(self) -> Tensor:
        """The group of each channel: int64 ``(C,)`` on the logits' device.

        Raises:
            InputError: a logit is NaN.
        """
        if self.pinned:
            return self.kept(_PINNED, self.logits.device).clone()
        return best_valid_groups(self.logits.detach())

    @property
    def chosen(self) -> tuple[int, ...]:
        """The group of each channel as plain numbers.

        Raises:
            InputError: the mask is not pinned, and a logit is NaN, or on the meta device.
        """
        if self.pinned:
            return self._indices[_PINNED]
        check_readable(self.logits, "logits of a mask")
        return tuple(self.discrete().tolist())

    def pin(self, assignment: Tensor | Sequence[int]) -> None:
        """Use one assignment, ``(C,)`` integers, in training too, until :meth:`release`.

        The logits then get no gradient, and optimisers leave them alone. Where a process group of
        ``torch.distributed`` is there, they get zeros, which an optimiser with momentum or decay
        of weights takes for a step.

        Raises:
            InputError: another number of channels, an index that is no group, or no integers.
        """
        given = assignment
        if not isinstance(given, Tensor):
            try:
                given = torch.tensor(given, device="cpu")
            except (TypeError, ValueError, RuntimeError):
                raise InputError(f"assignment: expected integers, got {given!r:.60}") from None
        channels = len(self.logits)
        if given.shape != (channels,):
            raise InputError(
                f"assignment: expected {channels} channels, got shape {tuple(given.shape)}"
            )
        if given.is_meta or given.is_floating_point() or given.dtype == torch.bool:
            raise InputError(f"assignment: expected integers, got {given.dtype} on {given.device}")
        if not 0 <= int(given.min()) <= int(given.max()) < self.groups:
            raise InputError(f"assignment: group indices must be in 0..{self.groups - 1}")
        self.keep(_PINNED, given.tolist(), self.logits.device)

    def release(self) -> None:
        """Go back to what the logits say."""
        self.drop(_PINNED)

    def get_extra_state(self) -> Tensor:
        """The pinned groups, bool ``(C, G)`` on the CPU: one in each row, or none where not pinned.

        Bits, because averages of state dicts take integers for numbers: those of equal groups give
        these again, those of different ones no division at all.
        """
        rows = torch.zeros(self.logits.shape, dtype=torch.bool, device="cpu")
        if self.pinned:
            rows[range(len(rows)), self.chosen] = True
        return rows

    def set_extra_state(self, state: Tensor) -> None:
        """The inverse of :meth:`get_extra_state`; a state without values changes nothing.

        Raises:
            InputError: it is of another mask, or of no division, such as an average of several.
        """
        if not isinstance(state, Tensor) or state.shape != self.logits.shape:
            found = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise InputError(
                f"pinned groups: expected a mask of {tuple(self.logits.shape)}, got {found}"
            )
        if state.is_meta:
            return
        owned = state.detach().to("cpu") != 0
        if not owned.any():
            self.release()
        elif owned.sum(dim=1).eq(1).all():
            self.pin(owned.long().argmax(dim=1))
        else:
            raise InputError(
                "pinned groups: a channel is in several groups or none; was the state averaged "
                "over different groupings?"
            )

    def extra_repr(self) -> str:
        state = "pinned" if self.pinned else self.relaxation
        return f"{self.logits.shape[0]} channels, {self.groups} groups, {state}"

    def _one_hot(self, assignment: Tensor) -> Tensor:
        return one_hot(assignment, self.groups, self.logits.dtype)


def one_hot(assignment: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """Rows ``(C, G)`` of a group for each channel, int64 ``(C,)``; waits for no device."""
    columns = torch.arange(groups, device=assignment.device)
    return (assignment[:, None] == columns).to(dtype)


def _reduces_gradients() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
