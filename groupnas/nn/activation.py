"""ReLU6 in place, without the copy that PyTorch's own keeps for the backward pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReLU6(nn.ReLU6):
    """``nn.ReLU6`` that finds its gradient from its output if it is in place; bit for bit the same.

    PyTorch's own clones its input before it writes there: one more pass over the activations, and
    one more tensor that lives until the backward pass. What lies outside (0, 6) is 0 or 6 behind
    it, so that the output says as much as the input. Twice differentiable.

    As with ``nn.ReLU6(inplace=True)``, the input must be a tensor that nobody else reads, e.g.
    BatchNorm's output. Compiled, traced and exported, it is ``nn.ReLU6``; under the transforms of
    ``torch.func`` that, too, and not in place.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Clip any tensor to [0, 6]."""
        if torch._C._are_functorch_transforms_active():
            return F.relu6(input)
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
        recorded = torch.compiler.is_compiling() or tracing
        if not self.inplace or recorded or not input.requires_grad:
            return super().forward(input)
        return _Clip.apply(input)


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp_(0, 6)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.mark_dirty(output)
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, output, 0, 6)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return tangent.mul_((output > 0) & (output < 6))
