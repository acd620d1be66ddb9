"""Animals whose parts are no face's, as tasks for benchmarks/keypoints.py.

*Bees*: the apic.ai bee pose data set, 32 points, with its own split, which is by bee. *Mouse*: the
labelled frames of a mouse on a wheel, from the side and from below, that come with Lightning Pose;
15 of its 17 points, since its nose is held in place. Both are read where they are.

A part's box is the same for all animals, so that it does not tell where the points of one are: the
mouse stands before a camera that does not move, and a bee is turned upright and scaled by its head
and tail, which it is assumed that a first look finds, and misplaces a little.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import groupnas as gn
from groupnas.arrays import Floats
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.crops import CropSettings, FacePatches, Patches, cut_square, stack_patches
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.task import LandmarkTarget, LandmarkTask
from groupnas.schema import validate
from groupnas.spaces.schema import SpaceFile

CROPS = CropSettings(margin=1.2, size=48, colour=False)
REPEATS = {"stage3": 2, "stage4": 3}  # of picasso_local's 5 and 6: there are few animals
INNER = (2, 98)  # percentiles of all training points of a part, along x and y, that its box spans
LENGTH = 160.0  # pixels from a bee's head to its tail, once it is upright


@dataclass(frozen=True)
class Frame:
    """An animal in an image.

    Attributes:
        image: ``(H, W)`` uint8.
        points: ``(K, 2)``, x and y in pixel-centre coordinates; NaN where nobody marked the point.
        length: Of the animal, in pixels: what errors are divided by.
        source: The bee; of the mouse, whose recordings nobody named, the frame.
        test: Whether it is held out from everything.
    """

    image: NDArray[np.uint8]
    points: Floats
    length: float
    source: str
    test: bool


def read_bees(folder: Path) -> list[Frame]:
    """All bees that somebody marked, upright; parts by the side of the image, not of the bee.

    Some are seen from below; the two sides' points are swapped there, as mirroring would.
    """
    folder = folder / "data"
    frames: list[Frame] = []
    for entry in json.loads((folder / "pose_dataset.json").read_text()):
        points = np.full((BEES.markup.points, 2), np.nan)
        for number, point in entry["keypoints"].items():
            points[int(number)] = point
        if not entry["keypoints"]:
            continue
        image = np.asarray(Image.open(folder / entry["path"]).convert("L"))
        image, points = _upright(image, points, np.random.default_rng(len(frames)))
        left, right = (
            points[list(BEES.markup.parts[part])] for part in ("left_legs", "right_legs")
        )
        if np.nanmean(left[:, 0]) > np.nanmean(right[:, 0]):
            points = points[list(BEES.markup.flip or ())]
        bee = re.sub(r"_f\d+\.\w+$", "", Path(entry["path"]).name)
        length = float(np.hypot(*(points[0] - points[5])))
        frames.append(Frame(image, points, length, bee, entry["set"] == "test"))
    return frames


def _upright(
    image: NDArray[np.uint8], points: Floats, draw: np.random.Generator
) -> tuple[NDArray[np.uint8], Floats]:
    """Turn and scale a bee by its head and tail, as a first look that errs would find them."""
    head, tail = points[0], points[5]
    along = head - tail
    scale = LENGTH / np.hypot(*along) * draw.uniform(0.93, 1.07)
    angle = np.arctan2(along[0], -along[1]) + draw.uniform(-1, 1) * np.deg2rad(10)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])  # to the upright canvas
    side = round(3 * LENGTH)
    shift = side / 2 + LENGTH * draw.uniform(-0.05, 0.05, 2) - linear @ ((head + tail) / 2)
    pad = max(image.shape)
    inverse = np.linalg.inv(linear)
    # Pillow asks for the way back, and from the outer edge of a pixel.
    back = np.column_stack([inverse, pad + 0.5 + inverse @ (-0.5 - shift)])
    padded = Image.fromarray(np.pad(image, pad, mode="edge"))
    turned = padded.transform(
        (side, side), Image.Transform.AFFINE, tuple(back.ravel()), Image.Resampling.BICUBIC
    )
    return np.asarray(turned), points @ linear.T + shift


def read_mouse(folder: Path) -> list[Frame]:
    """The labelled frames of the mouse; every fourth is held out."""
    rows = list(csv.reader((folder / "CollectedData.csv").read_text().splitlines()))
    names = rows[1][1::2]
    frames = []
    for number, (path, *numbers) in enumerate(rows[3:]):
        points = np.array([float(n) if n else np.nan for n in numbers]).reshape(-1, 2)
        nose, tail = (points[names.index(f"{name}_bot")] for name in ("nose", "tailBase"))
        image = np.asarray(Image.open(folder / path).convert("L"))
        length = float(np.hypot(*(nose - tail)))
        frames.append(Frame(image, points, length, path, number % 4 == 3))
    return frames


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An animal, the parts of its points, and where its frames are from.

    Attributes:
        markup: Points, parts, and what mirroring does.
        folder: Of its data, below a data root.
        read: Its frames, from that folder.
        augmentation: Of training crops.
        sources: What is independent of each other, in words.
    """

    markup: Markup
    folder: str
    read: Callable[[Path], list[Frame]]
    augmentation: Augmentation
    sources: str

    def space(self) -> gn.SearchSpace:
        """``picasso_local``, less deep, with these parts; each is as wide as each of its four."""
        data, parts = gn.load_space("picasso_local").file.to_dict(), self.markup.parts
        for row in data["layers"][:-1]:  # all but the output
            row["c"] = row["c"] * len(parts) // len(data["groups"])
            row["n"] = REPEATS.get(row["name"], row["n"])
        del data["variants"]
        data |= {
            "title": f"Parts of {self.markup.name}, a shallower local network of PicassoNet",
            "input": [CROPS.size, CROPS.size],
            "groups": list(parts),
            "inputs": dict.fromkeys(parts, CROPS.channels),
            "outputs": {part: 2 * len(points) for part, points in parts.items()},
        }
        return gn.SearchSpace.from_file(validate(SpaceFile, data, __file__), self.markup.name)

    def task(self, root: Path, *, test: bool = False) -> KeypointTask:
        """The frames that train and validate, or those of the test."""
        return KeypointTask(self.markup.name, _cut(self, root)[test], self.augmentation)


def _cut(subject: Subject, root: Path) -> Mapping[bool, Patches]:
    """The patches that train and validate, and those of the test (``True``)."""
    frames, markup = subject.read(root / subject.folder), subject.markup
    known = np.stack([frame.points for frame in frames if not frame.test])
    inner = [
        np.nanpercentile(known[:, list(indices)].reshape(-1, 2), INNER, axis=0)
        for indices in markup.parts.values()
    ]
    centres = np.stack([corners.mean(axis=0) for corners in inner])
    sides = np.stack([(corners[1] - corners[0]).max() for corners in inner]) * CROPS.margin
    owners = list(markup.owners)

    def cut(frame: Frame) -> FacePatches:
        patches = [
            cut_square(frame.image, centre, side * CROPS.cover, CROPS.pixels)
            for centre, side in zip(centres, sides, strict=True)
        ]
        shift = frame.points[list(markup.part_points)] - centres[owners]
        in_box = shift / (sides[owners, None] / 2)
        return FacePatches(np.stack(patches), in_box.astype(np.float32), sides.astype(np.float32))

    def side(test: bool) -> Patches:
        chosen = [frame for frame in frames if frame.test == test]
        lengths = np.array([frame.length for frame in chosen])
        sources = [frame.source for frame in chosen]
        return stack_patches([cut(frame) for frame in chosen], lengths, sources, markup, CROPS)

    return {test: side(test) for test in (False, True)}


class KeypointTask(LandmarkTask):
    """A :class:`LandmarkTask` whose points may be NaN: nobody marked them."""

    error_unit = "% of body length"

    def __init__(self, name: str, patches: Patches, augmentation: Augmentation) -> None:
        zeroed = replace(patches, points=np.nan_to_num(patches.points))
        super().__init__(name, zeroed, augmentation)
        self.patches, self._points = patches, torch.from_numpy(patches.points)

    def mean_output(self) -> Tensor:
        """The mean of those samples' points that are marked, ``(2 K,)``, in box units."""
        return self._points.nanmean(dim=0).flatten()

    def loss(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Wing loss of the points that are marked; the others count as exact."""
        known = target.points.isfinite()
        points = torch.where(known, target.points, 0.0)
        return super().loss(torch.where(known, predicted, 0.0), replace(target, points=points))

    def errors(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Mean distance of each part's marked points ``(B, P)``, in % of the body's length."""
        distance = (predicted - target.points).unflatten(1, (-1, 2)).norm(dim=-1)
        counts = [outputs // 2 for outputs in self.outputs.values()]
        means = [part.nanmean(dim=1) for part in distance.split(counts, dim=1)]
        return torch.stack(means, dim=1) * target.percent


def _markup(
    name: str, points: int, parts: Mapping[str, tuple[int, ...]], pairs: Mapping[int, int]
) -> Markup:
    both = {**pairs, **{right: left for left, right in pairs.items()}}
    shown = {index for part in parts.values() for index in part}
    return Markup(
        name,
        points,
        parts,
        contour=tuple(index for index in range(points) if index not in shown),
        flip=tuple(both.get(index, index) for index in range(points)),
        interocular=None,
        interpupil=None,
        boundaries=(),
    )


_LEFT, _RIGHT = tuple(range(8, 20)), tuple(range(20, 32))

BEES = Subject(
    markup=_markup(
        "bees",
        32,
        {
            "head": (0, 1, 2),
            "body": (3, 4, 5),
            "wings": (6, 7),
            "left_legs": _LEFT,
            "right_legs": _RIGHT,
        },
        {1: 2, 6: 7, **dict(zip(_LEFT, _RIGHT, strict=True))},
    ),
    folder="bee_pose",
    read=read_bees,
    augmentation=Augmentation(scale=(0.9, 1.1), rotation=12, translation=0.05),
    sources="bees",
)
MOUSE = Subject(
    markup=_markup(
        "mouse",
        17,
        {
            "side_front": (1, 2),
            "side_hind": (0, 3),
            "below_front": (9, 10),
            "below_hind": (8, 11),
            "tail": (4, 5, 12, 13),
            "obstacle": (7, 15, 16),
        },
        {},
    ),
    folder="mirror_mouse",
    read=read_mouse,
    augmentation=Augmentation(scale=(0.92, 1.08), rotation=5, translation=0.05, flip=0),
    sources="frames",
)
SUBJECTS = {"bees": BEES, "mouse": MOUSE}
