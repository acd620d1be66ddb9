"""A whole cascade as one ONNX file: an image and a box in, landmarks out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from groupnas._version import __version__
from groupnas.deploy.export import export_onnx
from groupnas.deploy.quantise import quantise_onnx
from groupnas.errors import InputError
from groupnas.formats import MODEL, check_suffix
from groupnas.landmarks.chain import Chain
from groupnas.landmarks.crops import fine_pixels
from groupnas.landmarks.deploy.calibration import Crops, crops_shown
from groupnas.landmarks.deploy.graph import BYTE, FLOAT, INT, Graph, GraphTensor
from groupnas.landmarks.deploy.region import Region, fitted, read_off
from groupnas.landmarks.deploy.resample import cut_squares, plan_sampling
from groupnas.landmarks.deploy.runtime import FORMAT, KIND, outputs_of
from groupnas.landmarks.located import FacePair
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.model import (
    Card,
    check_stages,
    load_cascade,
    load_networks,
)
from groupnas.landmarks.roles import Cells, Gaze
from groupnas.onnx_tools import import_onnx
from groupnas.spaces.network import GroupedNetwork
from groupnas.writing import atomic_path, temporary_folder

Planner = Callable[[GroupedNetwork], Any]


def export_cascade(
    model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    planner: Planner | None = None,
    calibration: Iterable[FacePair] | None = None,
) -> None:
    """Write a saved cascade as one ONNX file that needs nothing else.

    Inputs: ``image`` ``(H, W, 3)`` uint8 RGB, ``box`` ``(4,)`` float32 x0, y0, x1, y1. Outputs:
    ``points``, the last stage's, ``initial``, the first's where there are several, and those
    between under their names, each ``(K, 2)`` float32. All are in pixel-centre coordinates, as of
    :meth:`groupnas.landmarks.cascade.Cascade.locate`. The model card is in the metadata.

    Args:
        model: A model card, or the folder that holds ``model.json``.
        path: Of the ONNX file.
        planner: Lays each network out for speed, e.g.
            :class:`groupnas.deploy.planner.LayoutPlanner`; as it was trained where ``None``. Those
            with joint channels stay as they were trained.
        calibration: Faces, each an image and a box as above, of the training photos: then all
            networks become int8 (:func:`groupnas.deploy.quantise.quantise_onnx`), with ranges that
            hold what they see of these faces. The planner for that is
            :class:`groupnas.deploy.dense.DensePlanner`.

    Raises:
        InputError: the file's name does not end in ``.onnx``, the model cannot be read, ONNX is
            not installed, the file cannot be written, or
            there is no face to calibrate on.
    """
    check_suffix(path, MODEL, "an ONNX file")
    import_onnx()
    card, networks = load_networks(model)
    spaces = {name: network.allocation.space for name, network in networks.items()}
    check_stages(spaces, card.stages, card.markup)
    seen: Mapping[str, Crops] = {}
    if calibration is not None:
        if any(isinstance(stage.look, Cells) for stage in card.stages.values()):
            raise InputError(
                f"{model}: a cascade whose stages look at features is not written in int8; leave "
                "it in float32"
            )
        seen = crops_shown(load_cascade(model), calibration)
    models = {}
    for name, passed in passes(card).items():
        if len(passed) == 1:
            module = networks[name].module
            laid_out = module if planner is None or module.joint else planner(module)
            points = networks[name].pointing(laid_out, card.markup)
            models[name] = _exported(points, seen.get(name))
        else:  # as they were trained: a layout has no features
            own = {stage: networks[stage] for stage in passed}
            modules = {stage: network.module for stage, network in own.items()}
            chain = Chain(modules, {stage: network.role for stage, network in own.items()}, own)
            models[name] = _exported(chain, None)
    joined = join(card, models)
    with atomic_path(path) as temporary:
        temporary.write_bytes(joined.SerializeToString())


def passes(card: Card) -> dict[str, list[str]]:
    """The stages that look at photos, each with itself and those that look at its features.

    Raises:
        InputError: a stage looks at features of another than the last that looked at a photo.
    """
    found: dict[str, list[str]] = {}
    for name, stage in card.stages.items():
        if not isinstance(stage.look, Cells):
            found[name] = [name]
        elif stage.look.stage == [*found][-1]:
            found[stage.look.stage].append(name)
        else:
            raise InputError(
                f"stages.{name}.look.at: {stage.look.stage}: in an ONNX file a stage can only look "
                f"at features of the last one that looked at the photo, {[*found][-1]}"
            )
    return found


def join(card: Card, models: Mapping[str, Any]) -> Any:
    """The cascade of a card as an ``onnx.ModelProto``.

    Args:
        card: What the networks are shown, and what their answers are.
        models: ``onnx.ModelProto`` by :func:`export_onnx`, batch 1, of the network of each stage
            that looks at photos; with those that look at its features, of their
            :class:`groupnas.landmarks.chain.Chain`.
    """
    graph, markup = Graph(), card.markup
    image = graph.input("image", BYTE, ("height", "width", 3))
    box = graph.input("box", FLOAT, (4,))
    sides = graph.op("Shape", image, dtype=INT, start=0, end=2)
    last = sides.take(np.array([1, 0]).reshape(2, 1, 1, 1)).cast(FLOAT) - 1
    low, high = graph.split(box.reshape(2, 2, 1, 1, 1), 2, axis=0)
    found: dict[str, GraphTensor] = {}
    points = limits = None
    for name, passed in passes(card).items():
        stage = card.stages[name]
        assert isinstance(stage.look, Gaze)
        regions = stage.look.regions(markup)
        look = _Look(image, last, regions, markup, stage.look, models[name], name)
        if stage.look.whole or points is None or limits is None:
            corners = low, high
        else:  # an estimate gone wild must not ask for a crop of a million pixels
            corners = _extents(points.clip(*limits), regions)
        region = look.region(*corners)
        if stage.look.turned and points is not None and limits is not None:
            region = look.turned(points.clip(*limits), region)
        if limits is None:
            limits = region.centre - region.half * 2, region.centre + region.half * 2
        answer = look.at(region)
        answers = [answer] if len(passed) == 1 else graph.split(answer, len(passed), axis=0)
        placed = region.of(regions).out(answers[0])
        points = found[name] = _placed(placed, points, regions, stage.blend)
        for later, more in zip(passed[1:], answers[1:], strict=True):
            found[later] = points = region.out(more)
    for name, port in reversed(outputs_of(found).items()):  # the cascade's answer first
        graph.output(port, found[name].reshape(markup.points, 2), (markup.points, 2))
    return graph.model("cascade", _metadata(card, markup))


def _placed(
    closer: GraphTensor, before: GraphTensor | None, regions: Markup, blend: float
) -> GraphTensor:
    """All points in their order: a stage's own, or between both, and the others as before."""
    if before is None:
        return closer
    members = list(regions.part_points)
    if blend < 1:
        known = before.take(members)
        closer = known + (closer - known) * blend
    places = {point: regions.points + place for place, point in enumerate(members)}
    order = [places.get(point, point) for point in range(regions.points)]
    return closer.graph.op("Concat", before, closer, axis=0).take(order)


@dataclass(frozen=True)
class _Look:
    """One stage of the cascade, as :class:`groupnas.landmarks.cascade.Stage`, for one face.

    Attributes:
        image: ``(H, W, 3)`` uint8.
        last: ``(2, 1, 1, 1)`` float32, the image's last column and row.
        markup: Whose parts are the regions.
        whole: Of all points.
        look: Where it looks, and how that is cut.
        model: The network.
        name: Of the stage.
    """

    image: GraphTensor
    last: GraphTensor
    markup: Markup
    whole: Markup
    look: Gaze
    model: Any
    name: str

    def region(self, low: GraphTensor, high: GraphTensor) -> Region:
        """Return the squares around boxes whose corners are given, ``(P, 2, 1, 1, 1)`` float32."""
        longer = (high - low).reduce("Max", 1, keep=True)
        # A box may have collapsed.
        half = low.graph.op("Max", longer * (self.look.margin / 2), 0.5)
        return Region((low + high) * 0.5, half)

    def turned(self, points: GraphTensor, plain: Region) -> Region:
        """Return the region of five points, given all ``(K, 2, 1, 1, 1)``, or the plain one."""
        return fitted(points, plain, self.look.weights, self.whole)

    def at(self, region: Region) -> GraphTensor:
        """Return the network's points ``(K, 2, 1, 1, 1)`` in units of the regions."""
        graph, size, regions = region.centre.graph, self.look.size, len(self.markup.parts)
        pixels = size if region.linear is None else fine_pixels(size)
        around = region.upright(pixels)
        plan = plan_sampling(around.centre, around.half, regions, pixels, self.last)
        crops = cut_squares(self.image, plan, pixels, self.look.colour)
        if region.linear is not None:
            crops = read_off(crops, region.linear, around.half, size)
        answer = graph.network(self.model, self._standardise(crops), self.name)
        return answer.reshape(-1, 2, 1, 1, 1)

    def _standardise(self, crops: GraphTensor) -> GraphTensor:
        """``(1, P D, C, C)`` as :func:`groupnas.landmarks.task.standardise` makes it."""
        size, depth, regions = self.look.size, self.look.channels, len(self.markup.parts)
        ones, zeros = (crops.graph.constant(np.full(regions, value), FLOAT) for value in (1, 0))
        flat = crops.reshape(1, regions, depth * size, size)
        seen = crops.graph.op("InstanceNormalization", flat, ones, zeros, epsilon=1.0)
        return seen.reshape(1, regions * depth, size, size) if depth > 1 else seen


def _extents(points: GraphTensor, markup: Markup) -> tuple[GraphTensor, GraphTensor]:
    """The corners ``(P, 2, 1, 1, 1)`` of the boxes that just hold each part's points."""
    longest = max(map(len, markup.parts.values()))
    members = [part + part[:1] * (longest - len(part)) for part in markup.parts.values()]
    own = points.take(members)
    return own.reduce("Min", 1), own.reduce("Max", 1)


def _exported(module: nn.Module, crops: Crops | None) -> Any:
    with temporary_folder() as folder:
        file = folder / "network.onnx"
        export_onnx(module, file, batch=1)
        if crops is not None:
            quantise_onnx(file, file, crops)
        return import_onnx().load(file)


def _metadata(card: Card, markup: Markup) -> dict[str, str]:
    """Return what the runtime needs to know, and what a person should."""
    text = json.dumps(card.model_dump(mode="json", by_alias=True))
    about: Mapping[str, Any] = {
        "kind": KIND,
        "format": FORMAT,
        "version": __version__,
        "points": markup.points,
        "parts": json.dumps({name: list(part) for name, part in markup.parts.items()}),
        "box": card.box,
        "card": text,
        "card_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    return {f"groupnas.{key}": str(value) for key, value in about.items()}
