"""A search space as NNI's strategies and tools see it (extra ``nni``, NNI 3.0)."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import nni
import torch
from torch import Tensor, nn

if importlib.util.find_spec("pytorch_lightning") is None:
    # Or else NNI's evaluators import it, which only its one-shot strategies need.
    nni.set_default_framework("none")
with warnings.catch_warnings():
    # It wraps all of torch.nn, and warns of what has been added there since.
    warnings.filterwarnings("ignore", "<class 'torch", RuntimeWarning)
    from nni.nas.nn.pytorch import ModelSpace

from nni.mutable import Categorical, ensure_frozen
from nni.nas.profiler.pytorch.flops import (
    FlopsParamsProfiler,
    find_flops_formula,
    register_flops_formula,
)
from nni.nas.profiler.pytorch.utils import MutableShape
from nni.nas.profiler.pytorch.utils.shape_formula import register_shape_inference_formula
from nni.nas.space import model_context

from groupnas.budget import Budget
from groupnas.nn.activation import ReLU6
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.trials.encoding import Encoding


class GroupingModelSpace(ModelSpace):  # type: ignore[misc]
    """The derived networks of a space's groupings, at equal cost, as an NNI model space.

    Its mutables are the coordinates of an :class:`Encoding`, each a categorical choice; 0 is the
    default of all, and means even groups. A frozen one is the network of its sample: NNI can train
    and profile it. It is for NNI's multi-trial strategies: the one-shot ones choose parameters of
    single layers only, which sizes under a budget are not.

    Give it to NNI as ``SimplifiedModelSpace.from_model(...)``. The sample that its
    ``RawFormatModelSpace`` holds is empty by the time that ``GridSearch`` runs it.

    Args:
        space: Its units are divided.
        resolution: What may differ: ``part``, ``depth`` or ``unit``; see :class:`Encoding`.
        budget: What every network costs; as much as even groups by default.
        spread: Greatest value of a coordinate.
        levels: Values of a coordinate, an odd number, evenly from ``-spread`` to ``spread``.
        start: ``(outputs,)``: what networks answer at first, about; see :func:`build`.

    Attributes:
        grouping: Of the frozen sample; the even one as long as nothing is frozen.
        network: Its derived network, with fresh weights.
    """

    def __init__(
        self,
        space: SearchSpace,
        resolution: Literal["part", "depth", "unit"] = "depth",
        *,
        budget: Budget | None = None,
        spread: float = 0.5,
        levels: int = 5,
        start: Tensor | None = None,
    ) -> None:
        super().__init__()
        encoding = Encoding(
            space=space, budget=budget or Budget(), resolution=resolution, spread=spread
        )
        half = levels // 2
        values = [spread * step / half for step in range(-half, half + 1)]
        point = {
            label: ensure_frozen(self.add_mutable(Categorical(values, label=label, default=0.0)))
            for label in encoding.bounds
        }
        self.allocation = encoding.decode(point)
        self.network = self.allocation.build(start)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        return self.network(x)

    def freeze(self, sample: dict[str, Any]) -> GroupingModelSpace:
        """Return the network of a sample, ``{coordinate: value}``, with fresh weights."""
        self.validate(sample)
        with model_context(sample):
            return type(self)(*self.trace_args, **self.trace_kwargs)


def profile(network: nn.Module, space: SearchSpace, **counted: bool) -> tuple[float, float]:
    """Return NNI's count of a derived network: operations per image, and parameters.

    NNI's profiler alone cannot read one: it knows neither the split in front of uneven groups nor
    our ReLU6.

    Args:
        network: A derived network of the space, at any widths; put into evaluation mode.
        space: Its input's shape.
        **counted: NNI's ``count_bias``, ``count_normalization`` and ``count_activation``, all True
            by default. Without them, operations are multiply-accumulates, as the accountant's
            ``mac`` are. What they add is one for each output of a layer with bias, four for each
            element that passes a BatchNorm, and one for each that passes a ReLU. Without
            ``count_normalization``, BatchNorm's parameters are left out as well.
    """
    register_shape_inference_formula(torch.ops.aten.split_with_sizes.default, _split_shapes)
    if find_flops_formula(ReLU6()) is None:
        register_flops_formula(ReLU6, find_flops_formula(nn.ReLU6()))
    x = torch.zeros(1, sum(space.inputs.values()), *space.input_size)
    found = FlopsParamsProfiler(network.eval(), x, **counted).profile({})
    return float(found.flops), float(found.params)


def _split_shapes(_: Any, x: Any, sizes: Sequence[int], dim: int = 0) -> list[Any]:
    shape = list(x.real_shape)
    return [MutableShape(*shape[:dim], size, *shape[dim + 1 :]) for size in sizes]
