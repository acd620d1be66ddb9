"""The accountant: what every layer costs every group, exactly or in expectation.

A layer that mixes channels costs group j  H W k^2 a_j b_j  multiply-accumulates (MACs), with a_j
and b_j the group's channels at its input and output; a depthwise convolution costs its channel's
group H W k^2. Where groups read joint channels, a_j is all of these. What joint channels cost is in
a column of its own, ``shared``, but for the weights that read a group's channels, which are the
group's. What else is counted, and how often, is a matter of convention (:data:`CONVENTIONS`).
Figures are per image. FLOPs are not time: memory traffic and uneven groups are not in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.behind import BatchNorm, Hardswish, Relu, Relu6
from groupnas.spaces.layer import Layer
from groupnas.spaces.measure import Measure
from groupnas.spaces.operations import (
    ActivationAlone,
    AveragePool,
    Convolution,
    Deconvolution,
    Linear,
    MaxPool,
    Subpixel,
)
from groupnas.spaces.rooms import Room
from groupnas.spaces.schema import SHARED
from groupnas.spaces.space import SearchSpace
from groupnas.values import instance, text

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Convention:
    """The weights that one tool gives each kind of operation. None counts sums of two layers.

    Attributes:
        summary: What it is, in one line.
        mac: Operations per multiply-accumulate of convolutions and linear layers.
        norm: Operations per element that passes a BatchNorm in evaluation mode.
        act: Operations per element that passes a ReLU or ReLU6; no tool counts the others.
        conv_bias: Operations per output element of a convolution with bias.
        pool_in: Operations per input element of a pooling.
        average_out: Operations per output element of an average pooling.
        deconv: Of a transposed convolution: all taps at each ``input`` position, which is what is
            computed; at each ``output`` position; or ``nothing``.
    """

    summary: str
    mac: int
    norm: int = 0
    act: int = 0
    conv_bias: int = 0
    pool_in: int = 0
    average_out: int = 0
    deconv: Literal["input", "output", "nothing"] = "input"


CONVENTIONS: dict[str, Convention] = {
    "mac": Convention(summary="multiply-accumulates of convolutions and linear layers", mac=1),
    "torchstat": Convention(
        summary="torchstat's Flops, the tool of the PicassoNet paper",
        mac=1,
        norm=2,
        act=1,
        conv_bias=1,
        pool_in=1,
        deconv="nothing",
    ),
    "thop": Convention(summary="thop 0.1", mac=1, norm=4, average_out=1, deconv="output"),
    "fvcore": Convention(summary="fvcore's FlopCountAnalysis, evaluation mode", mac=1, norm=2),
    "torch": Convention(summary="torch.utils.flop_counter: two per MAC", mac=2),
}

_MOST_COLUMNS = 12  # of groups; more do not fit a page

# Elements in, elements out, and channel pairs times output positions -> a layer's operations
OPERATIONS: Room[Callable[[Layer, Convention, Any, Any, Any], Any]] = Room(
    "the accountant", f"{__name__}.OPERATIONS"
)
# Operations of each element that passes what is behind a layer
ELEMENTWISE: Room[Callable[[Convention], int]] = Room("the accountant", f"{__name__}.ELEMENTWISE")


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """Operations and parameters of one layer, for each of the table's groups."""

    name: str
    op: str
    flops: tuple[int, ...]
    params: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FlopsTable:
    """The cost of one grouping, layer by group; operations per image in one convention.

    Where the space has joint units, ``shared`` is the last of the groups.
    """

    space: str
    convention: str
    groups: tuple[str, ...]
    layers: tuple[LayerCost, ...] = field(repr=False)

    @property
    def per_group(self) -> dict[str, int]:
        """Operations of each group, all layers together."""
        return self._sum_layers("flops")

    @property
    def params_per_group(self) -> dict[str, int]:
        """Parameters of each group, all layers together."""
        return self._sum_layers("params")

    @property
    def per_layer(self) -> dict[str, int]:
        """Operations of each layer, all groups together."""
        return {layer.name: sum(layer.flops) for layer in self.layers}

    @property
    def total(self) -> int:
        """Operations of the whole network."""
        return sum(self.per_group.values())

    @property
    def total_params(self) -> int:
        """Parameters of the whole network."""
        return sum(self.params_per_group.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values for JSON."""
        return {
            "space": self.space,
            "convention": self.convention,
            "total": self.total,
            "per_group": self.per_group,
            "total_params": self.total_params,
            "params_per_group": self.params_per_group,
            "layers": {
                layer.name: {
                    "op": layer.op,
                    "flops": dict(zip(self.groups, layer.flops, strict=True)),
                    "params": dict(zip(self.groups, layer.params, strict=True)),
                }
                for layer in self.layers
            },
        }

    def rows(self) -> list[list[str]]:
        """The table as text: a header, a row for each layer, then sums, shares and parameters.

        A single group is all there is: it has no column of sums and no shares. More groups than fit
        a page are told by the least, the median and the most that one has.
        """
        total = max(self.total, 1)
        per_group = self.per_group.values()
        if len(self.groups) == 1:
            return [
                [f"layer ({self.convention})", *self.groups],
                *([layer.name, _thousands(*layer.flops)] for layer in self.layers),
                ["total", _thousands(self.total)],
                ["parameters", _thousands(self.total_params)],
            ]
        own = len(self.groups) - (self.groups[-1] == SHARED)
        parts, others = self.groups[:own], self.groups[own:]
        many = own > _MOST_COLUMNS

        def shown(values: Iterable[int]) -> list[int]:
            values = list(values)
            few = [min(values[:own]), sorted(values[:own])[own // 2], max(values[:own])]
            return [*(few if many else values[:own]), *values[own:]]

        heads = [f"least of {own}", "median", "most"] if many else parts
        return [
            [f"layer ({self.convention})", *heads, *others, "all"],
            *(
                [layer.name, *map(_thousands, shown(layer.flops)), _thousands(sum(layer.flops))]
                for layer in self.layers
            ),
            ["total", *map(_thousands, shown(per_group)), _thousands(self.total)],
            ["share", *(f"{100 * flops / total:.1f} %" for flops in shown(per_group)), "100 %"],
            [
                "parameters",
                *map(_thousands, shown(self.params_per_group.values())),
                _thousands(self.total_params),
            ],
        ]

    def to_markdown(self) -> str:
        """:meth:`rows` as a Markdown table."""
        header, *body = self.rows()
        rule = ["---", *(["---:"] * (len(header) - 1))]
        return "".join(f"| {' | '.join(row)} |\n" for row in [header, rule, *body])

    def _sum_layers(self, what: str) -> dict[str, int]:
        columns = zip(*(getattr(layer, what) for layer in self.layers), strict=True)
        return dict(zip(self.groups, map(sum, columns), strict=True))


def flops(allocation: Allocation, convention: str = "mac") -> FlopsTable:
    """The exact cost of an allocation: what the derived network computes, group by group.

    Args:
        allocation: Any.
        convention: A name in :data:`CONVENTIONS`.

    Raises:
        InputError: no allocation, or an unknown convention.
    """
    instance("allocation", allocation, Allocation)
    space, grouping = allocation.space, allocation.grouping
    rules = _convention(convention)
    counts = grouping.counts()
    sizes = [
        {**space.ends(group), **{unit: row[group] for unit, row in counts.items()}}
        for group in space.groups
    ]
    costs = []
    for layer in space.layers:
        columns = [_terms(layer, of[layer.in_unit], of[layer.out_unit]) for of in sizes]
        if space.joint:
            columns.append(_shared_terms(layer))
        costs.append(
            LayerCost(
                name=layer.name,
                op=layer.op,
                flops=tuple(_operations(layer, rules, *terms) for terms in columns),
                params=tuple(_parameters(layer, b, pairs) for _, b, pairs in columns),
            )
        )
    groups = (*space.groups, SHARED) if space.joint else space.groups
    return FlopsTable(space=space.name, convention=convention, groups=groups, layers=tuple(costs))


def expected_flops(
    space: SearchSpace, probabilities: Mapping[str, Tensor], convention: str = "mac"
) -> Tensor:
    """The expected cost under independent draws of every channel's group; differentiable.

    One-hot probabilities give :func:`flops` exactly, but for its column ``shared``.

    Args:
        space: The space whose layers are counted.
        probabilities: Free unit to membership ``(C, G)``, rows summing to 1, as
            :meth:`groupnas.Supernet.probabilities` gives it.
        convention: A name in :data:`CONVENTIONS`.

    Returns:
        ``(layers, G)`` in the probabilities' dtype, float32 where that is of 16 bits: those end
        at 65,504, or count in steps of 1 %.
    """
    import torch

    rules = _convention(convention)
    probabilities = {
        unit: p.float() if p.dtype in (torch.float16, torch.bfloat16) else p
        for unit, p in probabilities.items()
    }
    some = next(iter(probabilities.values()))
    fixed = {
        unit: torch.nn.functional.one_hot(torch.tensor(assignment), len(space.groups)).to(some)
        for unit, assignment in space.fixed.items()
    }
    membership = {**fixed, **probabilities}
    sizes = {unit: p.sum(dim=0) for unit, p in membership.items()}
    sizes.update({unit: some.new_full((len(space.groups),), n) for unit, n in space.joint.items()})
    rows = []
    for layer in space.layers:
        a, b, pairs = _terms(layer, sizes[layer.in_unit], sizes[layer.out_unit])
        if layer.in_unit == layer.out_unit and not layer.joint:
            # A unit with itself is not independent: E[a^2] = E[a]^2 + Var[a].
            p = membership[layer.in_unit]
            pairs = pairs + (p * (1 - p)).sum(dim=0)
        rows.append(_operations(layer, rules, a, b, pairs))
    return torch.stack(rows)


def count_operations(layer: Layer, a: Any, b: Any, convention: str = "mac") -> Any:
    """Operations of one group with ``a`` input and ``b`` output channels of a layer.

    Args:
        layer: Its shape; its own numbers of channels do not matter.
        a: A number or a tensor.
        b: Likewise.
        convention: A name in :data:`CONVENTIONS`.
    """
    return _operations(layer, _convention(convention), a, b, a * b)


def count_parameters(layer: Layer, a: Any, b: Any) -> Any:
    """Weights, biases and BatchNorm's affine parameters of one group; as the operations."""
    return _parameters(layer, b, a * b)


class Macs(Measure):
    """Multiply-accumulates."""

    name, unit, million = "mac", "MAC", "million MACs"

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """See :meth:`Measure.of_layer`."""
        return count_operations(layer, a, b)


class Parameters(Measure):
    """Weights, biases and BatchNorm's affine parameters."""

    name, unit = "params", "parameters"

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """See :meth:`Measure.of_layer`."""
        return count_parameters(layer, a, b)


def _terms(layer: Layer, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Inputs, outputs and pairs of both that a layer costs one group, of what it reads and owns."""
    if not layer.joint_out:
        return a, b, a * b
    return 0 * a, 0 * b, 0 * a if layer.joint_in else a * b


def _shared_terms(layer: Layer) -> tuple[int, int, int]:
    """The same of what belongs to no group; a weight between a group and all is the group's."""
    if not layer.joint_out:
        return 0, 0, 0
    a, b = layer.in_channels if layer.joint_in else 0, layer.out_channels
    return a, b, a * b


def _operations(layer: Layer, rules: Convention, a: Any, b: Any, pairs: Any) -> Any:
    """Operations of one group (or of all, as tensors) with a inputs and b outputs."""
    area_in, area_out = layer.in_size[0] * layer.in_size[1], layer.out_size[0] * layer.out_size[1]
    count = OPERATIONS[layer.operation]
    cost = count(layer, rules, a * area_in, b * area_out, pairs * area_out)
    for each in layer.behind:
        cost = cost + ELEMENTWISE[each](rules) * b * area_out
    return cost


@OPERATIONS.register(Convolution)
def _count_convolution(layer: Layer, rules: Convention, _in: Any, out: Any, pairs: Any) -> Any:
    weights = pairs if layer.mixes_channels else out
    return rules.mac * math.prod(layer.taps) * weights + rules.conv_bias * layer.bias * out


@OPERATIONS.register(Linear)
def _count_linear(layer: Layer, rules: Convention, _in: Any, _out: Any, pairs: Any) -> Any:
    return rules.mac * math.prod(layer.taps) * pairs


@OPERATIONS.register(Deconvolution)
def _count_deconvolution(layer: Layer, rules: Convention, _in: Any, out: Any, pairs: Any) -> Any:
    if rules.deconv == "nothing":
        return 0 * pairs
    cost = rules.mac * math.prod(layer.taps) * pairs
    if rules.deconv == "input":  # of which there are fewer; whole numbers stay whole
        fewer = layer.stride**2
        cost = cost // fewer if isinstance(cost, int) else cost / fewer
    return cost + rules.conv_bias * layer.bias * out


@OPERATIONS.register(Subpixel)
def _count_subpixel(layer: Layer, rules: Convention, _in: Any, out: Any, pairs: Any) -> Any:
    return rules.mac * layer.kernel**2 * pairs + rules.conv_bias * layer.bias * out


@OPERATIONS.register(ActivationAlone)
def _count_nothing(_layer: Layer, _rules: Convention, _in: Any, _out: Any, _pairs: Any) -> Any:
    return 0


@OPERATIONS.register(MaxPool)
def _count_pool(_layer: Layer, rules: Convention, inputs: Any, _out: Any, _pairs: Any) -> Any:
    return rules.pool_in * inputs


@OPERATIONS.register(AveragePool)
def _count_average(_layer: Layer, rules: Convention, inputs: Any, out: Any, _pairs: Any) -> Any:
    return rules.pool_in * inputs + rules.average_out * out


ELEMENTWISE.register(BatchNorm)(lambda rules: rules.norm)
ELEMENTWISE.register(Relu, Relu6)(lambda rules: rules.act)
ELEMENTWISE.register(Hardswish)(lambda rules: 0)  # no tool counts it


def _parameters(layer: Layer, b: Any, pairs: Any) -> Any:
    """Weights, biases and what is learned behind them, of one group."""
    kernel = layer.operation.weighted * math.prod(layer.taps)
    each = layer.bias + sum(behind.parameters for behind in layer.behind)
    each = each * layer.operation.numbers(layer)
    return kernel * (pairs if layer.mixes_channels else b) + each * b


def _convention(name: str) -> Convention:
    if text("convention", name) not in CONVENTIONS:
        raise InputError(f"convention {name!r}: {nearest(name, CONVENTIONS)}")
    return CONVENTIONS[name]


def _thousands(number: int) -> str:
    return f"{number:,}"
