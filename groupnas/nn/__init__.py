"""Layers whose channels learn which group they belong to; usable in any network."""

from groupnas.nn.channel_mask import ChannelMask
from groupnas.nn.learnable import (
    LearnableGroupConv2d,
    LearnableGroupLinear,
    MaskedConv2d,
    MaskedLinear,
)
from groupnas.nn.relaxation import RELAXATIONS, Relaxation
from groupnas.nn.temperature import Temperature
from groupnas.nn.uneven import UnevenGroupConv2d, UnevenGroupLinear

__all__ = [
    "RELAXATIONS",
    "ChannelMask",
    "LearnableGroupConv2d",
    "LearnableGroupLinear",
    "MaskedConv2d",
    "MaskedLinear",
    "Relaxation",
    "Temperature",
    "UnevenGroupConv2d",
    "UnevenGroupLinear",
]
