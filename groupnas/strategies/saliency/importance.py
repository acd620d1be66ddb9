"""The importance of a channel: how much a batch's loss feels a gate behind its normalisation.

Behind BatchNorm and activation a channel x_c passes a gate of value 1. To first order, closing it
changes the loss by g_c = dL/dgate_c, the sum of x_c dL/dx_c over samples and positions; its square,
in the moving average over batches, is the importance (Molchanov et al., "Importance Estimation for
Neural Network Pruning", CVPR 2019, eq. 8). Before BatchNorm the same derivative is 0, whatever the
channel is worth: BatchNorm undoes every scale. A channel of a unit that several layers end in has
one gate, at all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from groupnas.arrays import Floats
from groupnas.spaces.network import GroupedNetwork


class Gates:
    """Gates on all channels of a network's free units, while it is used as a context manager.

    Outputs of the layers with weights that end in a unit are multiplied by the unit's gates.

    Args:
        network: Is left as it was.
        units: The units, which are not its input or output.

    Attributes:
        open: ``{unit: (C,)}``, 1 for open and 0 for closed gates.
    """

    def __init__(self, network: GroupedNetwork, units: Iterable[str]) -> None:
        weight = next(network.parameters())
        self.open = {unit: weight.new_ones(sum(network.sizes[unit])) for unit in units}
        self._network = network
        self._gates: dict[str, Tensor] = {}  # of the last batch
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        self._handles.append(self._network.register_forward_pre_hook(self._renew))
        for layer, module in self._network.layers():
            if layer.operation.weighted and layer.out_unit in self.open:
                hook = partial(self._pass, layer.out_unit)
                self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *error: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _renew(self, network: nn.Module, inputs: tuple[Tensor]) -> None:
        """Make the gates of a batch."""
        self._gates = {
            unit: gate.clone().requires_grad_(network.training) for unit, gate in self.open.items()
        }

    def _pass(self, unit: str, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        gate = self._gates[unit]
        return output * gate.view(*gate.shape, *([1] * (output.dim() - 2)))

    def set(self, open: Tensor) -> None:
        """Open and close the gates of all units, in their order: ``(C,)`` bool."""
        counts = [len(gate) for gate in self.open.values()]
        for gate, values in zip(self.open.values(), open.split(counts), strict=True):
            gate.copy_(values)

    def importance(self) -> Floats:
        """Return the squared derivatives ``(C,)`` of the last backward pass, unit after unit."""
        gradients = [
            torch.zeros_like(gate) if gate.grad is None else gate.grad
            for gate in self._gates.values()
        ]
        return torch.cat(gradients).double().square().cpu().numpy()
