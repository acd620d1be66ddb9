"""The operations that groupnas has, and rows of several: a class each, registered as it is defined.

Another package adds one in the same way, in a module that it offers as an entry point of the group
``groupnas.operations``: ``OPERATORS.register`` and, for every room that is to know it, a rule
(:class:`groupnas.spaces.rooms.Room`).
"""

from groupnas.spaces.operations.convolution import (
    Conv,
    Convolution,
    Depthwise,
    GlobalDepthwise,
)
from groupnas.spaces.operations.inverted_residual import InvertedResidual
from groupnas.spaces.operations.linear import Linear
from groupnas.spaces.operations.pooling import AveragePool, MaxPool, Pooling, SameMaxPool
from groupnas.spaces.operations.residual import ActivationAlone, Bottleneck, Residual
from groupnas.spaces.operations.upsampling import Deconvolution, Subpixel, Upsampling

__all__ = [
    "ActivationAlone",
    "AveragePool",
    "Bottleneck",
    "Conv",
    "Convolution",
    "Deconvolution",
    "Depthwise",
    "GlobalDepthwise",
    "InvertedResidual",
    "Linear",
    "MaxPool",
    "Pooling",
    "Residual",
    "SameMaxPool",
    "Subpixel",
    "Upsampling",
]
