"""Normalisations and activations behind a layer, by their names in space files.

Another one is a class, registered: ``ACTIVATIONS.register(Gelu)``.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from groupnas.spaces.rooms import Catalogue, Named

if TYPE_CHECKING:
    from torch import nn

NONE = "none"  # in files: no activation


class Behind(Named):
    """A module behind a layer. Classes are named, so that lists need no torch.

    Attributes:
        kind: ``package.module:Class`` of the modules that compute it, whoever made them.
        made: The class that is made, where that is another.
        parameters: Learned numbers of each channel.
    """

    kind: ClassVar[str]
    made: ClassVar[str | None] = None
    parameters: ClassVar[int] = 0

    def accepts(self, module: nn.Module) -> bool:
        """Return whether a module computes this."""
        return isinstance(module, resolve_name(self.kind))

    def build(self, channels: int) -> nn.Module:
        """Return a new module for ``(N, channels, H, W)`` or ``(N, channels)``."""
        module: nn.Module = resolve_name(self.made or self.kind)(channels)
        return module


class Activation(Behind):
    """An activation, computed in place: nobody else reads what a layer has just written."""

    def build(self, channels: int, inplace: bool = True) -> nn.Module:
        """Return a new module for tensors of any shape."""
        module: nn.Module = resolve_name(self.made or self.kind)(inplace=inplace)
        return module


class Normalisation(Behind):
    """A normalisation of channels.

    Attributes:
        settings: The module's attributes that make a difference and are not in its state.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def fault(self, module: Any) -> str | None:
        """Return why a module that is one cannot be carried over, if so."""
        return None


ACTIVATIONS: Catalogue[Activation] = Catalogue("an activation")
NORMALISATIONS: Catalogue[Normalisation] = Catalogue("a normalisation")


@ACTIVATIONS.register
class Relu(Activation):
    """max(x, 0)."""

    name, kind = "relu", "torch.nn:ReLU"


@ACTIVATIONS.register
class Relu6(Activation):
    """min(max(x, 0), 6); ours keeps no copy."""

    name, kind, made = "relu6", "torch.nn:ReLU6", "groupnas.nn.activation:ReLU6"


@ACTIVATIONS.register
class Hardswish(Activation):
    """x relu6(x + 3) / 6."""

    name, kind = "hardswish", "torch.nn:Hardswish"


@NORMALISATIONS.register
class BatchNorm(Normalisation):
    """BatchNorm, which can be folded into the weights before it."""

    name, kind, made = "batch", "torch.nn.modules.batchnorm:_BatchNorm", "torch.nn:BatchNorm2d"
    parameters, settings = 2, ("eps", "momentum")

    def fault(self, module: Any) -> str | None:
        """Return that there are no running statistics, if so."""
        if module.running_mean is not None:
            return None
        return "its BatchNorm keeps no running statistics; expected track_running_stats=True"


def _activation(name: str) -> str:
    if name == NONE or ACTIVATIONS.knows(name):
        return name
    known = ", ".join(map(repr, ACTIVATIONS))
    raise PydanticCustomError("literal_error", f"input should be {known} or {NONE!r}")


def _normalisation(value: Any, validated: Callable[[Any], Any]) -> bool | str:
    try:
        made = validated(value)
    except ValidationError:
        made = str(value)
    if made == BatchNorm.name:  # what `true` means
        return True
    if isinstance(made, str) and not NORMALISATIONS.knows(made):
        known = ", ".join(NORMALISATIONS)
        raise PydanticCustomError("bool_type", f"input should be true, false or one of: {known}")
    return made


ActivationName = Annotated[str, AfterValidator(_activation)]
NormalisationName = Annotated[bool | str, WrapValidator(_normalisation)]
