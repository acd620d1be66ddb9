"""Relaxations: how trainable logits become masks, and how gradients find their way back.

Every relaxation maps logits ``(C, G)`` and a temperature > 0 to a mask ``(C, G)`` of the same dtype
whose rows sum to 1. The hard ones return exactly one-hot rows; they differ in the gradient.
Those of 16 bits are computed in float32: noise and quotients would not be finite in less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """One entry of :data:`RELAXATIONS`.

    Attributes:
        function: ``(logits (C, G), temperature) -> mask (C, G)``.
        summary: What it does, in one line.
        source: Where it was published.
    """

    function: Function
    summary: str
    source: str

    def __call__(self, logits: Tensor, temperature: float) -> Tensor:
        return self.function(logits, temperature)


RELAXATIONS: dict[str, Relaxation] = {}


def _relaxation(summary: str, source: str) -> Callable[[Function], Function]:
    """An entry that computes in float32 at least, and returns the logits' dtype."""

    def enter(function: Function) -> Function:
        @wraps(function)
        def wide(logits: Tensor, temperature: float) -> Tensor:
            narrow = logits.dtype in (torch.float16, torch.bfloat16)
            return function(logits.float() if narrow else logits, temperature).to(logits.dtype)

        entry = Relaxation(function=wide, summary=summary, source=source)
        RELAXATIONS[function.__name__] = entry
        return wide

    return enter


@_relaxation(
    "sample a group for every channel, straight-through gradient",
    "PicassoNet (Wen et al. 2022), Algorithm 1, with binary masks",
)
def gumbel_hard(logits: Tensor, temperature: float) -> Tensor:
    """One-hot of the Gumbel sample; the gradient is the soft sample's (straight-through)."""
    return _straight_through(gumbel_soft(logits, temperature))


@_relaxation("sample a mixture of groups for every channel", "PicassoNet (Wen et al. 2022), eq. 7")
def gumbel_soft(logits: Tensor, temperature: float) -> Tensor:
    """softmax((logits + g) / T) with g ~ Gumbel(0, 1): eq. 7 taken literally at T = 1."""
    waiting = torch.empty_like(logits, memory_format=torch.legacy_contiguous_format)
    # As F.gumbel_softmax draws it, but never the logarithm of 0
    gumbel = -waiting.exponential_().clamp(min=torch.finfo(logits.dtype).tiny).log()
    return F.softmax((logits + gumbel) / temperature, dim=1)


@_relaxation(
    "take the likeliest group, straight-through gradient",
    "Bengio et al. 2013 (straight-through) over a softmax",
)
def softmax_hard(logits: Tensor, temperature: float) -> Tensor:
    """One-hot of the largest logit; the gradient is the softmax's (straight-through)."""
    return _straight_through(F.softmax(logits / temperature, dim=1))


@_relaxation(
    "take the likeliest group, gradient at that entry alone", "FLGC (Wang et al. 2019), section 3"
)
def flgc(logits: Tensor, temperature: float) -> Tensor:
    """One-hot of the largest logit; the gradient enters at that entry only.

    With j* the largest entry of row i, dL/dS_ij = g_ij* p_ij* (delta_jj* - p_ij) / T.
    """
    soft = F.softmax(logits / temperature, dim=1)
    kept = soft * _one_hot_of_largest(soft)
    return _one_hot_of_largest(soft) + (kept - kept.detach())


def _one_hot_of_largest(soft: Tensor) -> Tensor:
    return F.one_hot(soft.argmax(dim=1), soft.shape[1]).to(soft.dtype)


def _straight_through(soft: Tensor) -> Tensor:
    # In this order the difference is exactly 0, so that the mask is exactly binary.
    return _one_hot_of_largest(soft) + (soft - soft.detach())
