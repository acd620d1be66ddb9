"""What a page shows of a run, whatever kind of run it is: plain values, read already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from groupnas.comparison.tables import Comparison
from groupnas.runs.fields import Chart

UnitSizes = Mapping[str, Sequence[int]]
"""Channels of every group, by unit."""


@dataclass(frozen=True)
class Note:
    """Something that a page cannot show, and why.

    Attributes:
        where: File or folder, as the user gave it.
        text: What is missing or wrong there, and what to do.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class LayerRate:
    """What one layer costs a group: ``factor`` MACs times its channels at the ends.

    Attributes:
        name: Of the layer.
        source: Channel unit that it reads.
        target: Channel unit that it writes.
        factor: MACs per image of one input and one output channel.
        mixes: Whether channels at both ends multiply (a convolution), or one end counts.
    """

    name: str
    source: str
    target: str
    factor: int
    mixes: bool


@dataclass(frozen=True, kw_only=True)
class Division:
    """One grouping by its sizes.

    Attributes:
        title: ``initial``, ``found``, or whose it is.
        sizes: Of its units, in network order.
        moved: Channels that must change group to get here from the run's start, if both have the
            same units.
    """

    title: str
    sizes: UnitSizes
    moved: int | None = None


@dataclass(frozen=True, kw_only=True)
class TetrisData:
    """What the Tetris plot shows of a run.

    Attributes:
        space: Its name.
        groups: In the order that decides their colours.
        divisions: Groupings to choose from; the last is shown first.
        epochs: Numbers of the epochs whose sizes were recorded.
        timeline: Sizes behind each of them.
        step: What the slider steps through: ``Epoch``, or the best so far behind a trial.
        layers: What layers cost; none where the space is not to be had.
        fixed: Sizes of the units that the task decides.
    """

    space: str
    groups: tuple[str, ...]
    divisions: tuple[Division, ...]
    epochs: tuple[int, ...] = ()
    timeline: tuple[UnitSizes, ...] = ()
    step: str = "Epoch"
    layers: tuple[LayerRate, ...] = ()
    fixed: UnitSizes | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one network costs each part, per image."""

    network: str
    macs: Mapping[str, float]
    params: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """Mean errors of one network on one set of samples.

    Attributes:
        samples: The set, or set and subset.
        network: Which network, stage or strategy.
        count: Samples in the set, if recorded.
        counts: Those that show each part, and any at all: ``mean``; if recorded.
        unit: Of the errors.
        errors: By part, and ``mean`` over all.
    """

    samples: str
    network: str
    count: int | None
    unit: str
    errors: Mapping[str, float]
    counts: Mapping[str, float] = field(default_factory=dict)

    def short(self, part: str) -> float | None:
        """How many samples show a part, where that is known and not all do."""
        count = self.counts.get(part)
        return None if count in (None, self.count) else count


@dataclass(frozen=True, kw_only=True)
class ErrorCurve:
    """Errors of single samples, for the cumulative distribution."""

    samples: str
    network: str
    unit: str
    errors: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample with one of the least or the largest errors: its name, and its error."""

    name: str
    error: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that the run folder holds, ready to be embedded."""

    title: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class PageRun:
    """All that a page shows of one run.

    Attributes:
        name: Short, and no other run's on the page.
        folder: As the user gave it.
        kind: ``search``, ``training``, ``cascade``, ``comparison`` or ``evaluation``.
        state: How far it came, in a sentence.
        finished: Whether it ended.
        notes: What is missing.
        groups: Parts, in the palette's order.
        network: For the Tetris plot.
        costs: Of its networks.
        charts: Of its epochs.
        health: What the search said of itself, with the epoch or ``end``; ``None`` where it does
            not watch itself.
        scores: Errors.
        comparison: Errors of strategies, their differences, and what searches cost.
        curves: Errors of single samples.
        best: Samples with the least errors.
        worst: Samples with the largest.
        pictures: Found in its folder.
        settings: Dotted keys to values.
        environment: Likewise.
        data: Likewise.
        commands: Words of the commands that run it again; none where none was recorded.
    """

    name: str
    folder: str
    kind: str
    state: str
    finished: bool
    notes: tuple[Note, ...] = ()
    groups: tuple[str, ...] = ()
    network: TetrisData | None = None
    costs: tuple[Cost, ...] = ()
    charts: tuple[Chart, ...] = ()
    health: tuple[tuple[str, str], ...] | None = None
    scores: tuple[Score, ...] = ()
    comparison: Comparison | None = None
    curves: tuple[ErrorCurve, ...] = ()
    best: tuple[Sample, ...] = ()
    worst: tuple[Sample, ...] = ()
    pictures: tuple[Picture, ...] = ()
    settings: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    commands: tuple[tuple[str, ...], ...] = ()
