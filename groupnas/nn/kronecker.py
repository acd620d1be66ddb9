"""Dynamic grouping convolution: a convolution that learns its number of groups.

Zhang et al. 2019, "Differentiable Learning-to-Group Channels via Groupable Convolutional Neural
Networks" (DGConv): the weight is multiplied by U = U_1 x ... x U_K (Kronecker products) with
U_i = (1 - g_i) I + g_i 1 and binary gates g_i. There, widths are powers of two and every factor is
2 x 2. Here any width will do: the primes that both widths have in common give square factors
p x p with a gate each; the primes that only one of them has give factors p x 1 and 1 x q, which
are all ones and have none.

**What an instance can represent.** Dense (all gates 1) down to gcd(C_out, C_in) groups (all gates
0); the number of groups is the product of the primes whose gate is 0, hence any divisor of the
gcd. All groups of an instance are equally large and lie regularly, as digits of the channel's
number. So it never represents uneven groups, groups of chosen channels, or a number of groups
that does not divide both widths; it learns how many groups, not who belongs where.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from groupnas.errors import InputError
from groupnas.nn.gathered import Channels, GatheredGroupConv2d
from groupnas.nn.indices import check_readable
from groupnas.nn.window import Size, Steps, Window, check_channels


@dataclass(frozen=True)
class KroneckerFactors:
    """The factors of U, from the left to the right of the product.

    Attributes:
        gated: Primes p of the square factors p x p, each with a gate; ascending.
        tall: Primes p of the factors p x 1 (more outputs), to the right of these.
        wide: Primes q of the factors 1 x q (more inputs).
    """

    gated: tuple[int, ...]
    tall: tuple[int, ...]
    wide: tuple[int, ...]

    @property
    def most_groups(self) -> int:
        """The greatest number of groups: gcd(C_out, C_in)."""
        return math.prod(self.gated)


def kronecker_factors(out_channels: int, in_channels: int) -> KroneckerFactors:
    """The factors of a U of shape ``(C_out, C_in)``.

    Raises:
        InputError: a number of channels below 1.
    """
    if min(out_channels, in_channels) < 1:
        raise InputError(f"{out_channels} x {in_channels} channels: expected at least 1 each")
    out, into = Counter(_primes(out_channels)), Counter(_primes(in_channels))
    return KroneckerFactors(
        gated=tuple(sorted((out & into).elements())),
        tall=tuple(sorted((out - into).elements())),
        wide=tuple(sorted((into - out).elements())),
    )


def kronecker_mask(factors: KroneckerFactors, gates: Tensor) -> Tensor:
    """U ``(C_out, C_in)`` of gates ``(len(factors.gated),)`` in [0, 1]; differentiable."""
    u = gates.new_ones(math.prod(factors.tall), math.prod(factors.wide))
    squares = [
        (1 - gate) * torch.eye(p, dtype=gates.dtype, device=gates.device) + gate
        for p, gate in zip(factors.gated, gates, strict=True)
    ]
    return torch.kron(reduce(torch.kron, squares), u) if squares else u


def group_count(factors: KroneckerFactors, gates: Any) -> Any:
    """Groups of an instance: the product of p^(1 - g).

    A number where ``gates`` are numbers; a scalar tensor, differentiable in the gates, where they
    are one.
    """
    exponents = [1 - gate for gate in gates]
    return math.prod((p**e for p, e in zip(factors.gated, exponents, strict=True)), start=1)


def complexity(factors: KroneckerFactors, gates: Any) -> Any:
    """Non-zeros of U: C_out C_in / groups, for widths of 2^K as published 2^(K + sum of g)."""
    squares = math.prod(p**2 for p in factors.gated)
    dense = squares * math.prod(factors.tall) * math.prod(factors.wide)
    return dense / group_count(factors, gates)


def budget_penalty(cost: Tensor, budget: float) -> Tensor:
    """max(cost / budget - 1, 0): what is spent beyond the budget, 0 within it."""
    return F.relu(cost / budget - 1)


class KroneckerConv2d(nn.Module):
    """``nn.Conv2d`` that learns its number of groups; see this module's text.

    The gates' logits start at ``gate_init`` times a random sign; the straight-through gradient of
    the sign is the identity, so that dL/dlogit = dL/dg / 2. Weights are drawn by MSRA
    initialisation for the fan-in that the first gates leave.

    Args:
        in_channels: C_in, as of ``nn.Conv2d``.
        out_channels: C_out.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.
        gate_init: Size of the first logits; 1e-8 as published.
        dense: Start with all gates 1 instead of random ones.

    Raises:
        InputError: a number of channels below 1, or a window that is no ``nn.Conv2d``'s.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        bias: bool = True,
        gate_init: float = 1e-8,
        dense: bool = False,
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        window = Window.of(kernel_size, **steps)
        self.kernel_size, self.stride, self.padding, self.dilation = window
        self.factors = kronecker_factors(out_channels, in_channels)
        self.gate_init, self.dense = gate_init, dense
        self.logits = nn.Parameter(torch.empty(len(self.factors.gated)))
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new gates, then new weights for them; the bias becomes zero."""
        signs = torch.randint(2, self.logits.shape, device=self.logits.device) * 2.0 - 1
        self.logits.copy_(self.gate_init * (torch.ones_like(signs) if self.dense else signs))
        groups = 1 if self.logits.is_meta else self.groups  # nothing is drawn there
        fan_in = self.in_channels * math.prod(self.kernel_size) / groups
        nn.init.normal_(self.weight, std=math.sqrt(2 / fan_in))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def gates(self) -> Tensor:
        """g ``(K,)``: exactly 0 or 1, with the straight-through gradient."""
        gates = torch.where(_is_open(self.logits), 1.0, 0.0).to(self.logits)
        return gates + (self.logits - self.logits.detach()) / 2

    @property
    def chosen(self) -> tuple[int, ...]:
        """The gates as they are now, 0 or 1 for each of ``KroneckerFactors.gated``.

        Raises:
            InputError: a logit is NaN, or on the meta device.
        """
        check_readable(self.logits, "logits of the gates")
        return tuple(map(int, _is_open(self.logits).tolist()))

    @property
    def groups(self) -> int:
        """Groups that the gates leave now; raises :class:`InputError` as :attr:`chosen`."""
        return int(group_count(self.factors, self.chosen))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C_in, H, W)`` to ``(N, C_out, H', W')``."""
        mask = kronecker_mask(self.factors, self.gates())
        weight = self.weight * mask[:, :, None, None]
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation)

    def derive(self) -> GatheredGroupConv2d:
        """The same function as a plain grouped convolution, with copies of the weights.

        Raises:
            InputError: as :attr:`chosen`.
        """
        return GatheredGroupConv2d.of(self, *_division(self.factors, self.chosen))

    def extra_repr(self) -> str:
        unknown = self.logits.is_meta or bool(self.logits.isnan().any())
        groups = "unknown" if unknown else self.groups
        return f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, groups={groups}"


def grouped_convolution(
    in_channels: int, out_channels: int, kernel_size: Size, gates: Sequence[int], **window: Any
) -> GatheredGroupConv2d:
    """The plain grouped convolution of gates, with fresh weights.

    ``gates`` are 0 or 1 for each of ``KroneckerFactors.gated``, the rest is as of ``nn.Conv2d``.
    """
    inputs, outputs = _division(kronecker_factors(out_channels, in_channels), gates)
    return GatheredGroupConv2d(inputs, outputs, in_channels, out_channels, kernel_size, **window)


def _division(factors: KroneckerFactors, gates: Sequence[int]) -> tuple[Channels, Channels]:
    """The inputs and the outputs of each group."""
    mask = kronecker_mask(factors, torch.tensor(gates, dtype=torch.float32, device="cpu"))
    # Rows of one group are equal, and rows of different groups share no input.
    inputs, outputs = [], []
    for row in mask.unique(dim=0).flip(0):
        inputs.append(row.nonzero().flatten().tolist())
        outputs.append((mask == row).all(dim=1).nonzero().flatten().tolist())
    return inputs, outputs


def _is_open(logits: Tensor) -> Tensor:
    """Which gates are 1: by the sign, which a 0 has too, as 1e-8 becomes one in float16."""
    return ~logits.detach().signbit()


def _primes(number: int) -> list[int]:
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found + [number] * (number > 1)
