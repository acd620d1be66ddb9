"""Stages that are trained together: one network, one task, one pass through all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from groupnas.landmarks.features import features_around
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.roles import Cells, Role, rows_of
from groupnas.landmarks.task import LandmarkTarget, LandmarkTask
from groupnas.spaces.modules import module_name
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.schema import SHARED
from groupnas.spaces.space import SearchSpace


class Chain(nn.Module):
    """A stage that looks at the whole face, and stages behind it that look at its features.

    Maps crops of the face ``(B, D, C, C)`` to the points after each stage that is trained,
    ``(B, S 2K)`` in box units of the crop. No gradient goes through the points that a stage starts
    from: their errors are the stage's before. The weights of stages that are not trained stay as
    they are, and so do their statistics.

    Source: Su et al., GRegNet + LRefNets (paper 001), Algorithm 1.

    Args:
        networks: Of the stages, in their order, without gaps.
        roles: Of the same stages, and of later ones that look at their features.
        trained: Those that are.
        dropout: The share of what a stage's last row reads that is dropped in training, also of
            stages that are not trained: those behind learn from worse starts.
        seed: Of what is dropped.
    """

    def __init__(
        self,
        networks: Mapping[str, GroupedNetwork],
        roles: Mapping[str, Role],
        trained: Collection[str] = (),
        dropout: Mapping[str, float] = {},
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(
            {module_name(name): network for name, network in networks.items()}
        )
        self.dropouts = nn.ModuleDict(
            {
                module_name(name): CountedDropout(dropout[name], seed * len(networks) + place)
                for place, name in enumerate(networks)
                if dropout.get(name)
            }
        )
        self.names, self.roles = tuple(networks), dict(roles)
        self.trained = tuple(name for name in networks if name in trained)
        for name, network in networks.items():
            network.requires_grad_(name in self.trained)

    @property
    def _networks(self) -> list[GroupedNetwork]:
        return [cast(GroupedNetwork, network) for network in self.networks.values()]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return self._networks[0].input_shape

    def train(self, mode: bool = True) -> Chain:
        """As of every module, but for stages that are not trained."""
        super().train(mode)
        for name, network in zip(self.names, self._networks, strict=True):
            network.train(mode and name in self.trained)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Points after each trained stage; see the class."""
        found, _ = self.stages(x)
        return torch.cat([found[name].flatten(1) for name in self.trained], dim=1)

    def stages(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Points ``(B, K, 2)`` after each stage, and the maps that others look at, ``STAGE.ROW``.

        Args:
            x: ``(B, D, C, C)``, as of :meth:`forward`.
        """
        points, found, kept = None, dict[str, Tensor](), dict[str, Tensor]()
        for name, network in zip(self.names, self._networks, strict=True):
            role = self.roles[name]
            before = None if points is None else points.detach()
            seen = x
            if isinstance(role.look, Cells) and before is not None:
                seen = features_around(kept[role.look.at], before, role.look.size)
            rows = rows_of(name, self.roles)
            with self._dropping(name, network) as dropping:
                outputs, maps = dropping.features(seen, rows)
            points = found[name] = _answered(role, outputs, before)
            kept.update({f"{name}.{row}": one for row, one in maps.items()})
        return found, kept

    @contextmanager
    def _dropping(self, name: str, network: GroupedNetwork) -> Iterator[GroupedNetwork]:
        """The network of a stage, whose last row meanwhile reads what its dropout leaves."""
        key = module_name(name)
        if not self.training or key not in self.dropouts:
            yield network
            return
        dropout = self.dropouts[key]
        with ExitStack() as hooks:
            for layer, module in network.layers():
                if layer.puts_out:
                    hook = module.register_forward_pre_hook(lambda _, seen: (dropout(seen[0]),))
                    hooks.callback(hook.remove)
            yield network


class CountedDropout(nn.Module):
    """Dropout whose draws follow from a seed, and from how often it has drawn.

    The count is a buffer: a training that was killed and goes on draws as if it never had been.
    Values ``(B, ...)`` keep their mean. Source: Srivastava et al., "Dropout", JMLR 2014.

    Args:
        share: Of the values that become 0, from 0 to below 1.
        seed: From 0 on.
    """

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self.share, self.seed = share, seed
        self.count: Tensor
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """The values, some of them 0 and the others larger, in training mode."""
        if not self.training:
            return x
        draw = torch.Generator().manual_seed((self.seed * 1_000_003 + int(self.count)) % 2**63)
        self.count += 1
        kept = torch.rand(x.shape, generator=draw) >= self.share
        return x * kept.to(x) / (1 - self.share)


def _answered(role: Role, outputs: Tensor, before: Tensor | None) -> Tensor:
    """Points ``(B, K, 2)`` by the outputs ``(B, 2K)`` of a stage, in box units of the face."""
    unit = Frame(torch.eye(2).to(outputs), torch.zeros(2).to(outputs))
    points = role.answer.shape(outputs.unflatten(1, (-1, 2)), unit, before)
    return points if before is None else before + role.blend * (points - before)


class ChainTask:
    """The points of faces as each stage of a :class:`Chain` should have them.

    Implements :class:`groupnas.task.Task`; its groups are the trained stages, each of which answers
    all points. The loss is the sum of theirs. What chooses between epochs is the error of the last
    of them.

    Args:
        task: Whole faces as the first stage is shown them.
        stages: Those that are trained.
    """

    def __init__(self, task: LandmarkTask, stages: Sequence[str]) -> None:
        self._task = task
        self.name, self.sources, self.error_unit = task.name, task.sources, task.error_unit
        self.inputs: Mapping[str, int] = {SHARED: sum(task.inputs.values())}
        self.outputs: Mapping[str, int] = dict.fromkeys(stages, sum(task.outputs.values()))
        self.chosen_by = stages[-1]

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


@dataclass(frozen=True)
class FeaturesTarget:
    """The answer that a stage should have given that looks at features.

    Attributes:
        truth: Of the whole face.
        before: ``(B, K, 2)``, where the stages before it have the points.
    """

    truth: LandmarkTarget
    before: Tensor


class FeaturesTask:
    """What a stage is shown that looks at features of earlier ones, which stay as they are.

    Implements :class:`groupnas.task.Task`, for the search of its network: a group is a point.

    Args:
        task: Whole faces as the first stage is shown them.
        chain: The stages before; its roles are this stage's, too.
        stage: The stage.
        space: Of its network.
    """

    def __init__(self, task: LandmarkTask, chain: Chain, stage: str, space: SearchSpace) -> None:
        self._task, self._chain, self._role = task, chain.eval(), chain.roles[stage]
        self.name, self.sources, self.error_unit = task.name, task.sources, task.error_unit
        self.inputs: Mapping[str, int] = dict(space.inputs)
        self.outputs: Mapping[str, int] = dict(space.outputs)

    def mean_output(self) -> None:
        """Nothing: steps start at 0."""

    @torch.no_grad()
    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, FeaturesTarget]:
        """Features ``(B, K C, S, S)`` around the points that the stages before find."""
        x, truth = self._task.batch(indices, generator)
        points, maps = self._chain.stages(x.to(next(self._chain.parameters())))
        before, look = points[self._chain.names[-1]], self._role.look
        assert isinstance(look, Cells)
        seen = features_around(maps[look.at], before, look.size)
        return seen.cpu(), FeaturesTarget(truth, before.cpu())

    def loss(self, predicted: Tensor, target: FeaturesTarget) -> Tensor:
        """Loss of the points that steps ``(B, 2K)`` lead to; a scalar."""
        points = _answered(self._role, predicted, target.before)
        return self._task.loss(points.flatten(1), target.truth)

    def errors(self, predicted: Tensor, target: FeaturesTarget) -> Tensor:
        """Distance of each point ``(B, K)``, in % of the normaliser."""
        points = _answered(self._role, predicted, target.before)
        apart = points - target.truth.points.unflatten(1, (-1, 2))
        return apart.norm(dim=-1) * target.truth.percent

    def to(self, target: FeaturesTarget, device: torch.device) -> FeaturesTarget:
        """The target, moved to ``device``."""
        return FeaturesTarget(self._task.to(target.truth, device), target.before.to(device))

    def fingerprint(self) -> str:
        """SHA-256 of the faces and of the stages before, weights and roles."""
        told = [self._task.fingerprint(), self._chain.names, self._chain.roles]
        digest = hashlib.sha256(repr(told).encode())
        for value in self._chain.state_dict().values():
            digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()
