"""What a search needs from the data: the :class:`Task` protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Task(Protocol):
    """Training samples cut into parts, a loss, and an error per part.

    A task offers its *training* samples only; test images are not reachable through it. The
    engine splits the samples by :attr:`sources`, so that no photo stands on both sides.

    Attributes:
        name: What the run folder calls the task, e.g. ``"300w"``.
        inputs: Input channels of each group, in the order of the network's input.
        outputs: Network outputs of each group, in the order of the network's output.
        sources: For every sample, the name of the photo it was cut from.
        error_unit: What :meth:`errors` is measured in, e.g. ``"NME %"``.
    """

    name: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    sources: Sequence[str]
    error_unit: str

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Samples by index: inputs ``(B, C_in, H, W)`` float32 and a target for :meth:`loss`.

        Args:
            indices: ``(B,)`` int64, positions in :attr:`sources`.
            generator: Draws the augmentation on the CPU; ``None`` means no augmentation. The same
                indices and generator state give the same batch, bit for bit.
        """
        ...

    def loss(self, predicted: Tensor, target: Any) -> Tensor:
        """Scalar training loss of predictions ``(B, outputs)``; differentiable."""
        ...

    def errors(self, predicted: Tensor, target: Any) -> Tensor:
        """Error of every sample and group, ``(B, G)``, in :attr:`error_unit`."""
        ...

    def to(self, target: Any, device: torch.device) -> Any:
        """The target, moved to ``device``."""
        ...

    def fingerprint(self) -> str:
        """A hash of the samples; a resumed run refuses data that is not the same."""
        ...
