"""What a search or a training needs from the data: the :class:`Task` protocol."""

from __future__ import annotations

import hashlib
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


class TaskSubset:
    """Some samples of a task, as a task.

    Args:
        task: The whole.
        indices: ``(N,)`` int64, which samples.
    """

    def __init__(self, task: Task, indices: Tensor) -> None:
        self._task = task
        self._indices = indices
        self.name = task.name
        self.inputs = task.inputs
        self.outputs = task.outputs
        self.error_unit = task.error_unit
        self.sources: Sequence[str] = [task.sources[index] for index in indices.tolist()]

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """As :meth:`Task.batch`; indices count within the subset."""
        return self._task.batch(self._indices[indices], generator)

    def loss(self, predicted: Tensor, target: Any) -> Tensor:
        """As :meth:`Task.loss`."""
        return self._task.loss(predicted, target)

    def errors(self, predicted: Tensor, target: Any) -> Tensor:
        """As :meth:`Task.errors`."""
        return self._task.errors(predicted, target)

    def to(self, target: Any, device: torch.device) -> Any:
        """As :meth:`Task.to`."""
        return self._task.to(target, device)

    def fingerprint(self) -> str:
        """Of the whole task and of which samples these are."""
        chosen = f"{self._task.fingerprint()} {self._indices.tolist()}"
        return hashlib.sha256(chosen.encode()).hexdigest()
