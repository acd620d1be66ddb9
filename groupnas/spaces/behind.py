"""What may stand behind a layer: normalisations and activations, by their names in space files.

Another one is a class, registered: ``ACTIVATIONS.register(Gelu)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from groupnas.spaces.rooms import Named, Table

if TYPE_CHECKING:
    from torch import nn

NONE = "none"  # in files: no activation


class Behind(Named):
    """A module behind a layer.

    Attributes:
        parameters: Learned numbers of each channel.
    """

    parameters: ClassVar[int] = 0

    def kind(self) -> type[nn.Module]:
        """Return the class of modules that compute this, whoever made them."""
        raise NotImplementedError

    def build(self, channels: int) -> nn.Module:
        """Return a new module for ``(N, channels, H, W)`` or ``(N, channels)``."""
        raise NotImplementedError


class Activation(Behind):
    """An activation, computed in place: nobody else reads what a layer has just written."""

    def build(self, channels: int) -> nn.Module:
        """Return a new module for tensors of any shape."""
        return self.kind()(inplace=True)


class Normalisation(Behind):
    """A normalisation of channels.

    Attributes:
        settings: The module's attributes that make a difference and are not in its state.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def fault(self, module: Any) -> str | None:
        """Return why a module of :meth:`kind` cannot be carried over, if so."""
        return None


ACTIVATIONS: Table[Activation] = Table("an activation")
NORMALISATIONS: Table[Normalisation] = Table("a normalisation")


@ACTIVATIONS.register
class Relu(Activation):
    """max(x, 0)."""

    name = "relu"

    def kind(self) -> type[nn.Module]:
        """Return PyTorch's own."""
        from torch import nn

        return nn.ReLU


@ACTIVATIONS.register
class Relu6(Activation):
    """min(max(x, 0), 6)."""

    name = "relu6"

    def kind(self) -> type[nn.Module]:
        """Return PyTorch's own."""
        from torch import nn

        return nn.ReLU6

    def build(self, channels: int) -> nn.Module:
        """Return ours, which keeps no copy."""
        from groupnas.nn.activation import ReLU6

        return ReLU6(inplace=True)


@ACTIVATIONS.register
class Hardswish(Activation):
    """x relu6(x + 3) / 6."""

    name = "hardswish"

    def kind(self) -> type[nn.Module]:
        """Return PyTorch's own."""
        from torch import nn

        return nn.Hardswish


@NORMALISATIONS.register
class BatchNorm(Normalisation):
    """``nn.BatchNorm2d``, which can be folded into the weights before it."""

    name = "batch"
    parameters = 2
    settings = ("eps", "momentum")

    def kind(self) -> type[nn.Module]:
        """Return the base class of all; ``nn.SyncBatchNorm`` is one, too."""
        from torch.nn.modules.batchnorm import _BatchNorm

        return _BatchNorm

    def build(self, channels: int) -> nn.Module:
        """Return a new ``nn.BatchNorm2d``."""
        from torch import nn

        return nn.BatchNorm2d(channels)

    def fault(self, module: Any) -> str | None:
        """Return that there are no running statistics, if so."""
        if module.running_mean is not None:
            return None
        return "its BatchNorm keeps no running statistics; expected track_running_stats=True"


def _activation(name: str) -> str:
    if name in ACTIVATIONS or name == NONE:
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
    if isinstance(made, str) and made not in NORMALISATIONS:
        known = ", ".join(NORMALISATIONS)
        raise PydanticCustomError("bool_type", f"input should be true, false or one of: {known}")
    return made


ActivationName = Annotated[str, AfterValidator(_activation)]
NormalisationName = Annotated[bool | str, WrapValidator(_normalisation)]
