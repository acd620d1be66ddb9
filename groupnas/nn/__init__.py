"""Layers whose channels learn which group they belong to; usable in any network."""

from groupnas.nn.channel_mask import ChannelMask
from groupnas.nn.flgc import FLGConv2d
from groupnas.nn.gathered import GatheredGroupConv2d
from groupnas.nn.kronecker import KroneckerConv2d, kronecker_factors
from groupnas.nn.learnable import (
    LearnableGroupConv2d,
    LearnableGroupLinear,
    MaskedConv2d,
    MaskedConvTranspose2d,
    MaskedLinear,
)
from groupnas.nn.relaxation import RELAXATIONS, Relaxation
from groupnas.nn.temperature import Temperature
from groupnas.nn.uneven import UnevenGroupConv2d, UnevenGroupLinear, UnevenGroups

__all__ = [
    "RELAXATIONS",
    "ChannelMask",
    "FLGConv2d",
    "GatheredGroupConv2d",
    "KroneckerConv2d",
    "LearnableGroupConv2d",
    "LearnableGroupLinear",
    "MaskedConv2d",
    "MaskedConvTranspose2d",
    "MaskedLinear",
    "Relaxation",
    "Temperature",
    "UnevenGroupConv2d",
    "UnevenGroupLinear",
    "UnevenGroups",
    "kronecker_factors",
]
