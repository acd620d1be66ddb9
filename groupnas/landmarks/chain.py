"""Stages that are trained together: one network, one task, one pass through all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from groupnas.landmarks.features import features_around
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.roles import Cells, Role, rows_of
from groupnas.landmarks.task import LandmarkTarget, LandmarkTask
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.schema import SHARED


class Chain(nn.Module):
    """A stage that looks at the whole face, and stages behind it that look at its features.

    Maps crops of the face ``(B, D, C, C)`` to the points after each stage that is trained,
    ``(B, S 2K)`` in box units of the crop. No gradient goes through the points that a stage starts
    from: their errors are the stage's before. The weights of stages that are not trained stay as
    they are, and so do their statistics.

    Source: Su et al., GRegNet + LRefNets (paper 001), Algorithm 1.

    Args:
        networks: Of the stages, in their order, without gaps.
        roles: Of the same stages.
        trained: Those that are.
    """

    def __init__(
        self,
        networks: Mapping[str, GroupedNetwork],
        roles: Mapping[str, Role],
        trained: Collection[str],
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks.values())  # `global` is no name in exported code
        self.roles = {name: roles[name] for name in networks}
        self.trained = tuple(name for name in networks if name in trained)
        for name, network in networks.items():
            network.requires_grad_(name in self.trained)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return cast(GroupedNetwork, self.networks[0]).input_shape

    def train(self, mode: bool = True) -> Chain:
        """As of every module, but for stages that are not trained."""
        super().train(mode)
        for name, network in zip(self.roles, self.networks, strict=True):
            network.train(mode and name in self.trained)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Points after each trained stage; see the class."""
        unit = Frame(torch.eye(2).to(x), torch.zeros(2).to(x))
        points, found, kept = None, list[Tensor](), dict[str, Tensor]()
        for (name, role), network in zip(self.roles.items(), self.networks, strict=True):
            before = None if points is None else points.detach()
            seen = x
            if isinstance(role.look, Cells) and before is not None:
                seen = features_around(kept[role.look.at], before, role.look.size)
            rows = rows_of(name, self.roles)
            outputs, maps = cast(GroupedNetwork, network).features(seen, rows)
            points = role.answer.shape(outputs.unflatten(1, (-1, 2)), unit, before)
            if before is not None:
                points = before + role.blend * (points - before)
            kept.update({f"{name}.{row}": one for row, one in maps.items()})
            if name in self.trained:
                found.append(points.flatten(1))
        return torch.cat(found, dim=1)


class ChainTask:
    """The points of faces as each stage of a :class:`Chain` should have them.

    Implements :class:`groupnas.task.Task`; its groups are the trained stages, each of which answers
    all points. The loss is the sum of theirs.

    Args:
        task: Whole faces as the first stage is shown them.
        stages: Those that are trained.
    """

    def __init__(self, task: LandmarkTask, stages: Sequence[str]) -> None:
        self._task = task
        self.name, self.sources, self.error_unit = task.name, task.sources, task.error_unit
        self.inputs: Mapping[str, int] = {SHARED: sum(task.inputs.values())}
        self.outputs: Mapping[str, int] = dict.fromkeys(stages, sum(task.outputs.values()))

    def mean_output(self) -> None:
        """Nothing: each stage's network starts as if it were alone."""

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LandmarkTarget]:
        """As :meth:`LandmarkTask.batch`."""
        return self._task.batch(indices, generator)

    def loss(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Sum of the losses of predictions ``(B, S 2K)``; a scalar."""
        losses = [self._task.loss(points, target) for points in self._each(predicted)]
        return torch.stack(losses).sum()

    def errors(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Mean distance of all points after each stage ``(B, S)``, in % of the normaliser."""
        errors = [self._task.errors(points, target) for points in self._each(predicted)]
        return torch.cat(errors, dim=1)

    def to(self, target: LandmarkTarget, device: torch.device) -> LandmarkTarget:
        """The target, moved to ``device``."""
        return self._task.to(target, device)

    def fingerprint(self) -> str:
        """SHA-256 of the faces' and the stages' names."""
        return hashlib.sha256(
            repr([self._task.fingerprint(), [*self.outputs]]).encode()
        ).hexdigest()

    def _each(self, predicted: Tensor) -> tuple[Tensor, ...]:
        return predicted.split([*self.outputs.values()], dim=1)
