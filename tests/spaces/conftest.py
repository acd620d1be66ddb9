"""Small spaces for all tests of this folder, and a way to make one more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from groupnas.grouping import Grouping
from groupnas.schema import validate
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.schema import SpaceFile, read_space_file

SMALL = sorted((Path(__file__).parent / "small").glob("*.yaml"))
PICASSO = Path(__file__).parents[2] / "search_spaces" / "picasso_local.yaml"


def _reduced_picasso() -> SearchSpace:
    """All layers and units of the local network, on crops of 16 x 16."""
    file = read_space_file(PICASSO).model_copy(update={"input": (16, 16)})
    return SearchSpace.from_file(file, "picasso_local")


@pytest.fixture(params=[*SMALL, None], ids=lambda path: path.stem if path else "picasso_local")
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Each of the small spaces in turn, and the reduced local network."""
    return load_space(request.param) if request.param else _reduced_picasso()


@pytest.fixture
def compiled() -> Callable[..., SearchSpace]:
    """A space of ``layers``; whatever else a file has may be given by name.

    Two groups, 1 + 1 inputs, 2 + 2 outputs, 8 x 8; the last row, the output, is added.
    """

    def make(*layers: dict[str, Any], **settings: Any) -> SearchSpace:
        data = {
            "format": 1,
            "title": "test",
            "input": [8, 8],
            "groups": ["a", "b"],
            "inputs": {"a": 1, "b": 1},
            "outputs": {"a": 2, "b": 2},
            "layers": [*layers, {"name": "output", "op": "linear"}],
            **settings,
        }
        return SearchSpace.from_file(validate(SpaceFile, data, "test"), "test")

    return make


@pytest.fixture
def groupings() -> Callable[[SearchSpace], list[Grouping]]:
    """Even, random, and as lopsided as is valid: each group in turn gets all but one of each."""

    def make(space: SearchSpace) -> list[Grouping]:
        lopsided = [
            Grouping.from_counts(
                space,
                {
                    unit: {
                        group: channels - len(space.groups) + 1 if group == favourite else 1
                        for group in space.groups
                    }
                    for unit, channels in space.free_units.items()
                },
            )
            for favourite in (space.groups[0], space.groups[-1])
        ]
        return [Grouping.even(space), *(Grouping.random(space, s) for s in range(3)), *lopsided]

    return make


@pytest.fixture
def randomised() -> Callable[[nn.Module], nn.Module]:
    """Random weights, biases and BatchNorm statistics, so that none of them can be mixed up."""

    @torch.no_grad()
    def fill(network: nn.Module, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for name, tensor in module.state_dict().items():
                    if name in ("weight", "running_var"):
                        tensor.uniform_(0.5, 1.5)
                    elif name in ("bias", "running_mean"):
                        tensor.normal_(0, 0.2)
            elif isinstance(bias := getattr(module, "bias", None), Tensor):
                bias.normal_(0, 0.2)
        return network

    return fill


def _leaky(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6, nn.Hardswish)):
                setattr(module, name, nn.LeakyReLU(0.5))
    return network


@pytest.fixture
def reach() -> Callable[[nn.Module, SearchSpace, int], Tensor]:
    """How strongly every group's outputs depend on every group's inputs, ``(out G, in G)``.

    Sums of absolute derivatives of randomly weighed outputs: exactly 0 only where all are. The
    activations are made leaky, so that no group falls silent for another reason than its masks.
    """

    def measure(network: nn.Module, space: SearchSpace, batch: int = 4) -> Tensor:
        torch.manual_seed(1)
        x = torch.randn(batch, sum(space.inputs.values()), *space.input_size, requires_grad=True)
        y = _leaky(network)(x)  # once: in training mode, all groups must see the same draw
        rows = []
        for outputs in y.split(list(space.outputs.values()), dim=1):
            weighed = (outputs * torch.randn_like(outputs)).sum()
            (gradient,) = torch.autograd.grad(weighed, x, retain_graph=True)
            parts = gradient.split(list(space.inputs.values()), dim=1)
            rows.append(torch.stack([part.abs().sum() for part in parts]))
        return torch.stack(rows)

    return measure
