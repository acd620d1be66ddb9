"""The :class:`Task` protocol: what a search or a training needs from the data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.values import listed, names, whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Task(Protocol):
    """Training samples cut into groups, a loss, and an error per group.

    A task offers its *training* samples only; test images are not reachable through it. The
    engine splits the samples by :attr:`sources`, so that no image stands on both sides.
    :func:`groupnas.check_task` says whether a class does all that is asked here.

    A sample need not show every group: a point may lie outside the image, or nobody marked it.
    Its error of such a group is NaN, and it counts for the other groups alone; each mean over
    samples skips what is missing. Which groups a sample shows follows from its target, not from
    what is predicted. A group that no sample of either side of the split shows is refused.

    Attributes:
        name: What the run folder calls the task, e.g. ``"300w"``.
        inputs: Input channels of each group, in the order of the network's input; ``{"shared": N}``
            where all groups read the same N.
        outputs: Network outputs of each group, in the order of the network's output.
        sources: For every sample, the name of the image it was cut from.
        error_unit: What :meth:`errors` is measured in, e.g. ``"NME %"``.

    Where outputs are maps, ``output_size`` is their height and width, and predictions are
    ``(B, outputs, H, W)``; a task without it has numbers as outputs. ``chosen_by`` is the group
    whose error chooses between the epochs of a training; without it the mean of all does.
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

    def mean_output(self) -> Tensor | None:
        """Outputs that training may start from, ``(outputs,)``, e.g. the targets' mean.

        Finite: where samples lack groups, the mean of those that are there. ``None`` where there is
        no such thing: training starts from 0.
        """
        ...

    def loss(self, predicted: Tensor, target: Any) -> Tensor:
        """Scalar training loss of predictions ``(B, outputs)``; differentiable.

        Where samples lack groups it leaves them out, and selects what is known *before* it
        computes: ``torch.where`` or an index behind it lets NaN into the gradient. It is finite
        for finite predictions, also where a batch shows nothing of a group, or nothing at all.
        """
        ...

    def errors(self, predicted: Tensor, target: Any) -> Tensor:
        """Error of every sample and group, ``(B, G)`` numbers from 0 on, in :attr:`error_unit`.

        Booleans do as well: whether a class is wrong.

        NaN where a sample does not show a group, whatever is predicted; finite elsewhere, for
        finite predictions. Infinity counts as a network that diverged.
        """
        ...

    def to(self, target: Any, device: torch.device) -> Any:
        """The target, moved to ``device``."""
        ...

    def fingerprint(self) -> str:
        """A hash of the samples; a resumed run refuses data that is not the same."""
        ...


def output_size(task: Task) -> tuple[int, ...]:
    """Height and width of each of a task's outputs; nothing where they are numbers."""
    return tuple(getattr(task, "output_size", ()))


def chosen_by(task: Task) -> str:
    """The group whose validation error chooses between epochs, or ``mean``.

    Raises:
        InputError: a group that the task does not have.
    """
    name = getattr(task, "chosen_by", "mean")
    if name not in task.outputs and name != "mean":
        raise InputError(f"task {task.name}: chosen_by: {nearest(str(name), task.outputs)}")
    return str(name)


class TaskSubset:
    """Some samples of a task, as a task.

    Args:
        task: The whole.
        indices: ``(N,)`` int64, which samples; a list or an array does as well.

    Raises:
        InputError: what is no list of whole numbers, or names samples that there are not.
    """

    def __init__(self, task: Task, indices: Tensor) -> None:
        import torch

        sources = task.sources  # may be made anew whenever it is asked for
        chosen = (
            # As many as there are: no list that could have no end.
            indices.flatten().tolist()
            if isinstance(indices, torch.Tensor)
            else listed("indices", indices)
        )
        self._task = task
        self._indices = torch.tensor(
            [whole("indices", index, 0, len(sources) - 1) for index in chosen],
            dtype=torch.long,
        )
        self.name = task.name
        self.inputs = task.inputs
        self.outputs = task.outputs
        self.output_size = output_size(task)
        self.chosen_by = chosen_by(task)
        self.error_unit = task.error_unit
        self.sources: Sequence[str] = [sources[i] for i in self._indices.tolist()]

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Return :meth:`Task.batch`; indices count within the subset."""
        return self._task.batch(self._indices[indices], generator)

    def mean_output(self) -> Tensor | None:
        """Return the whole task's :meth:`Task.mean_output`."""
        return self._task.mean_output()

    def loss(self, predicted: Tensor, target: Any) -> Tensor:
        """Return :meth:`Task.loss`."""
        return self._task.loss(predicted, target)

    def errors(self, predicted: Tensor, target: Any) -> Tensor:
        """Return :meth:`Task.errors`."""
        return self._task.errors(predicted, target)

    def to(self, target: Any, device: torch.device) -> Any:
        """Do as :meth:`Task.to`."""
        return self._task.to(target, device)

    def fingerprint(self) -> str:
        """Return the digest of the whole task and of which samples these are."""
        chosen = f"{self._task.fingerprint()} {self._indices.tolist()}"
        return hashlib.sha256(chosen.encode()).hexdigest()


class TaskParts:
    """Some groups of a task, as a task.

    Its loss is the whole task's with all other outputs where :meth:`Task.mean_output` has them, or
    at 0: other groups' terms are in it, but do not depend on what is predicted.

    Args:
        task: The whole.
        groups: Their names; they keep the task's order.

    Raises:
        InputError: no group, or one that the task does not have.
    """

    def __init__(self, task: Task, groups: Sequence[str]) -> None:
        import torch

        groups = names("groups", groups)
        for group in groups:
            if group not in task.outputs:
                raise InputError(f"group {group!r}: {nearest(group, task.outputs)}")
        if not groups:
            raise InputError("groups: expected at least one")
        self._task = task
        self.name = f"{task.name}:{'+'.join(g for g in task.outputs if g in groups)}"
        self.outputs: Mapping[str, int] = {g: n for g, n in task.outputs.items() if g in groups}
        self.output_size = output_size(task)
        own = {group: size for group, size in task.inputs.items() if group in groups}
        self.inputs: Mapping[str, int] = own or dict(task.inputs)  # shared ones stay
        self.error_unit = task.error_unit
        self.sources = task.sources
        self._channels = _positions(task.inputs, self.inputs)
        self._columns = _positions(task.outputs, self.outputs)
        self._groups = [index for index, group in enumerate(task.outputs) if group in groups]
        mean = task.mean_output()
        self._elsewhere = torch.zeros(sum(task.outputs.values())) if mean is None else mean

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Return :meth:`Task.batch` of these groups' channels; the target is the whole one."""
        x, target = self._task.batch(indices, generator)
        return x[:, self._channels], target

    def mean_output(self) -> Tensor | None:
        """Return :meth:`Task.mean_output` of these groups' outputs."""
        mean = self._task.mean_output()
        return None if mean is None else mean[self._columns]

    def loss(self, predicted: Tensor, target: Any) -> Tensor:
        """Return :meth:`Task.loss`."""
        return self._task.loss(self._whole(predicted), target)

    def errors(self, predicted: Tensor, target: Any) -> Tensor:
        """Return :meth:`Task.errors` of these groups."""
        return self._task.errors(self._whole(predicted), target)[:, self._groups]

    def to(self, target: Any, device: torch.device) -> Any:
        """Do as :meth:`Task.to`."""
        return self._task.to(target, device)

    def fingerprint(self) -> str:
        """Return the digest of the whole task and of which groups these are."""
        return hashlib.sha256(f"{self._task.fingerprint()} {self.name}".encode()).hexdigest()

    def _whole(self, predicted: Tensor) -> Tensor:
        size = predicted.shape[2:]
        elsewhere = self._elsewhere.to(predicted).view(1, -1, *[1] * len(size))
        whole = elsewhere.repeat(len(predicted), 1, *size)
        whole[:, self._columns] = predicted
        return whole


def _positions(sizes: Mapping[str, int], kept: Mapping[str, int]) -> list[int]:
    """Return the places of the kept groups' entries among all groups'."""
    owners = [group for group, size in sizes.items() for _ in range(size)]
    return [index for index, group in enumerate(owners) if group in kept]
