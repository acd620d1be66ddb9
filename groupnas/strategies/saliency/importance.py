"""The importance of a channel: how much the loss feels a gate behind its normalisation.

Behind BatchNorm and activation a channel x_c passes a gate of value 1. To first order, closing it
changes the loss by g_c = dL/dgate_c = sum of x_c dL/dx_c, over samples and positions; its square is
the importance (Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, eq.
8). Before BatchNorm the same derivative is 0, whatever the channel is worth: BatchNorm undoes every
scale. A channel of a unit that several layers end in has one gate, at all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from groupnas.spaces.network import GroupedNetwork


class Gates:
    """Gates on all channels of a network's free units, while it is used as a context manager.

    Outputs of the layers with weights that end in a unit are multiplied by the unit's gate.

    Args:
        network: Is left as it was.
        units: The units, which are not its input or output.

    Attributes:
        values: ``{unit: (C,)}``, 1 for open and 0 for closed; trained by nobody, but their
            gradients accumulate in every backward pass.
    """

    def __init__(self, network: GroupedNetwork, units: Mapping[str, int]) -> None:
        weight = next(network.parameters())
        self.values = {
            unit: torch.ones(sum(network.sizes[unit]), dtype=weight.dtype, device=weight.device)
            for unit in units
        }
        for gate in self.values.values():
            gate.requires_grad_()
        self._sites = [
            (module, layer.out_unit)
            for layer, module in network.layers()
            if layer.operation.weighted and layer.out_unit in self.values
        ]
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for module, unit in self._sites:
            self._handles.append(module.register_forward_hook(_Gate(self.values[unit])))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._handles:
            self._handles.pop().remove()

    def close(self, unit: str, channels: list[int]) -> None:
        """Close some channels of a unit for good."""
        self.values[unit].data[channels] = 0

    def importance(self) -> dict[str, Tensor]:
        """Return the squared first-order terms since the last call, ``(C,)`` each, and forget them.

        Those of one backward pass, if there was one.
        """
        found = {}
        for unit, gate in self.values.items():
            gradient = torch.zeros_like(gate) if gate.grad is None else gate.grad
            found[unit] = gradient.detach().double().square().cpu()
            gate.grad = None
        return found


class _Gate:
    """A forward hook that multiplies a layer's output by a gate."""

    def __init__(self, gate: Tensor) -> None:
        self.gate = gate

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output * self.gate.view(-1, *([1] * (output.dim() - 2)))
