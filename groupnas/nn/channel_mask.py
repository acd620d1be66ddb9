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
from groupnas.nn.relaxation import RELAXATIONS

MaskInit = Literal["ones", "normal", "even"]


class ChannelMask(nn.Module):
    """Logits over ``groups`` for each of ``channels`` channels.

    Calling it gives a mask ``(C, G)``: in training mode a draw of the relaxation (a new one each
    call: layers that share a unit must share one draw), in evaluation mode, or once pinned, the
    one-hot rows of :attr:`assignment`.

    ``assignment`` is the best valid reading of the logits (every group keeps a channel). It is
    taken when the module enters evaluation mode, and read through :meth:`discrete` at any time.

    Args:
        channels: C, how many there are.
        groups: G, at most C.
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Logits all one (paper 000, Algorithm 1), N(0, 1) (FLGC), or an even division.
        confidence: With an even division, the probability in (1 / G, 1) of a channel's own group.

    Raises:
        InputError: more groups than channels, or an unknown relaxation or init.
    """

    assignment: Tensor

    def __init__(
        self,
        channels: int,
        groups: int,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
        confidence: float = 0.9,
    ) -> None:
        super().__init__()
        if not 1 <= groups <= channels:
            raise InputError(f"{channels} channels cannot hold {groups} groups")
        if relaxation not in RELAXATIONS:
            raise InputError(f"relaxation {relaxation!r}: {nearest(relaxation, RELAXATIONS)}")
        if init not in get_args(MaskInit):
            raise InputError(f"mask init {init!r}: {nearest(init, get_args(MaskInit))}")
        self.groups = groups
        self.relaxation = relaxation
        self.temperature = 1.0
        self.pinned = False
        self.logits = nn.Parameter(_initial_logits(channels, groups, init, confidence))
        self.register_buffer("assignment", self.discrete())

    @classmethod
    def fixed(cls, assignment: Sequence[int], groups: int) -> ChannelMask:
        """A mask that is never learned, e.g. of a network's input; ``assignment`` is ``(C,)``."""
        mask = cls(len(assignment), groups)
        mask.pin(torch.tensor(assignment))
        mask.logits.requires_grad_(False)
        return mask

    def forward(self) -> Tensor:
        """The mask, ``(C, G)`` in the logits' dtype."""
        if self.training and not self.pinned:
            return RELAXATIONS[self.relaxation](self.logits, self.temperature)
        return F.one_hot(self.assignment, self.groups).to(self.logits.dtype)

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
        """The best valid group of each channel: int64 ``(C,)`` on the logits' device."""
        if self.pinned:
            return self.assignment
        logits = self.logits.detach()
        return torch.tensor(best_valid(logits.tolist()), device=logits.device)

    def pin(self, assignment: Tensor) -> None:
        """Use one assignment, ``(C,)`` int64, in training too, until :meth:`release`.

        Raises:
            InputError: another number of channels, or an index that is no group.
        """
        channels = len(self.logits)
        if assignment.shape != (channels,):
            raise InputError(
                f"assignment: expected {channels} channels, got shape {tuple(assignment.shape)}"
            )
        if not 0 <= int(assignment.min()) <= int(assignment.max()) < self.groups:
            raise InputError(f"assignment: group indices must be in 0..{self.groups - 1}")
        # A copy: loading a state dict writes into the buffer.
        self.assignment = assignment.to(self.logits.device, torch.long, copy=True)
        self.pinned = True

    def release(self) -> None:
        """Go back to what the logits say."""
        self.pinned = False
        self.assignment = self.discrete()

    def train(self, mode: bool = True) -> ChannelMask:
        """Switch the mode; entering evaluation takes the discrete reading of the logits."""
        super().train(mode)
        if not mode:
            self.assignment = self.discrete()
        return self

    def get_extra_state(self) -> Tensor:
        """Whether the mask is pinned: part of the state dict, or a loaded mask would be another."""
        return torch.tensor(self.pinned)

    def set_extra_state(self, state: Tensor) -> None:
        """The inverse of :meth:`get_extra_state`."""
        self.pinned = bool(state)

    def extra_repr(self) -> str:
        state = "pinned" if self.pinned else self.relaxation
        return f"{self.logits.shape[0]} channels, {self.groups} groups, {state}"


def _initial_logits(channels: int, groups: int, init: MaskInit, confidence: float) -> Tensor:
    logits = torch.ones(channels, groups)
    if init == "normal":
        return torch.randn_like(logits)
    if init == "even":
        if not 1 / groups < confidence < 1:
            raise InputError(f"mask confidence: expected 1/{groups} to 1, got {confidence}")
        own = F.one_hot(torch.tensor(best_valid(logits.tolist())), groups)
        # softmax gives the own group its confidence, and the others equal parts of the rest
        logits += own * math.log(confidence * (groups - 1) / (1 - confidence))
    return logits
