"""The second-order gradient of the masks: what the weights will do next is part of it.

Liu et al. 2019 (DARTS), section 2.3, equations 7 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LossFunction = Callable[[Sequence[Tensor]], Tensor]

REACH = 0.01  # length of the finite difference's step, as published


def unrolled_gradient(
    train_loss: LossFunction,
    validation_loss: LossFunction,
    weights: Sequence[Tensor],
    logits: Sequence[Tensor],
    rate: float,
) -> tuple[list[Tensor], Tensor]:
    """The derivative by the logits a of L_val(w - rate dL_train(w, a)/dw, a).

    With w' the weights after that plain gradient step, it is dL_val(w', a)/da less rate times the
    product of d2L_train/da dw with dL_val(w', a)/dw', which is taken by central differences: two
    more evaluations of the training loss, at w +- e dL_val/dw' with e = 0.01 / its norm.

    Both losses must be functions, the same for the same weights: whatever they draw must be drawn
    anew alike in each evaluation, or the difference would be that of two draws over 2 e.

    Args:
        train_loss: Scalar loss at given weights, of the current logits.
        validation_loss: Likewise.
        weights: w; not changed.
        logits: a; leaves that both losses depend on.
        rate: Of the step ahead; 0 gives the first-order gradient.

    Returns:
        The gradient, one tensor for each of the logits, and L_val(w', a).
    """
    slopes = torch.autograd.grad(train_loss(weights), list(weights))
    ahead = [
        (w - rate * slope).detach().requires_grad_()
        for w, slope in zip(weights, slopes, strict=True)
    ]
    loss = validation_loss(ahead)
    gradients = torch.autograd.grad(loss, [*logits, *ahead])
    direct, direction = gradients[: len(logits)], gradients[len(logits) :]
    norm = torch.stack([d.square().sum() for d in direction]).sum().sqrt().item()
    if norm == 0 or rate == 0:
        return list(direct), loss.detach()
    step = REACH / norm

    def slopes_at(shift: float) -> tuple[Tensor, ...]:
        moved = [
            (w + shift * d).detach().requires_grad_()
            for w, d in zip(weights, direction, strict=True)
        ]
        return torch.autograd.grad(train_loss(moved), list(logits))

    product = [
        (above - below) / (2 * step)
        for above, below in zip(slopes_at(step), slopes_at(-step), strict=True)
    ]
    return [d - rate * p for d, p in zip(direct, product, strict=True)], loss.detach()
