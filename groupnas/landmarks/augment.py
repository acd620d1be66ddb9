"""Augmented crops: draw transformations, resample patches, move the points along.

Shapes: B faces, P regions (parts), K points, D channels, S pixels of a patch, C pixels of a crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

# The range is checked where settings are read from a file.
Scale = Annotated[float, Field(gt=0, le=10)]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of a training crop, drawn uniformly; the defaults are of the part crops.

    Scale, rotation and translation are drawn for every region by itself, since in the cascade the
    first network misplaces every part by itself; a face is mirrored as a whole.

    The paper (section IV-B) scales "images" by [0.9, 1.0] in the local stage and by [1.1, 1.16] in
    the global one, of boxes that it does not describe. A network is used in the middle of the range
    that it was trained in, so here the same ranges stand around 1, and the box's margin says what
    1 means.

    Attributes:
        scale: Range of the factor by which the *face* grows in its crop.
        rotation: Largest angle in degrees, both ways.
        translation: Largest shift, both ways, x and y on their own, as a share of the crop's side.
        flip: Probability that a face is mirrored.
    """

    scale: tuple[Scale, Scale] = (0.95, 1.05)
    rotation: Annotated[float, Field(ge=0, le=180)] = 6.0
    translation: Annotated[float, Field(ge=0, le=1)] = 3 / 64
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5


@dataclass(frozen=True)
class Placement:
    """The place of each part's box in its crop: ``crop = linear @ box + shift``.

    Both sides are in units where -1 and 1 are the outer edges, of the box and of the crop.

    Attributes:
        linear: ``(B, P, 2, 2)``, a rotation times a scale, of a mirrored box where flipped.
        shift: ``(B, P, 2)``.
        scale: ``(B, P)``.
        flipped: ``(B,)`` bool.
    """

    linear: Tensor
    shift: Tensor
    scale: Tensor
    flipped: Tensor


def draw_placement(
    faces: int, parts: int, settings: Augmentation, generator: torch.Generator
) -> Placement:
    """Draw a placement for ``faces`` x ``parts``, from ``generator`` alone (on the CPU)."""
    draws = torch.rand(faces, parts, 4, generator=generator)
    flipped = torch.rand(faces, generator=generator) < settings.flip
    smallest, largest = settings.scale
    scale = smallest + (largest - smallest) * draws[..., 0]
    angle = math.radians(settings.rotation) * (2 * draws[..., 1] - 1)
    shift = 2 * settings.translation * (2 * draws[..., 2:] - 1)
    return place(scale, angle, shift, flipped)


def no_placement(faces: int, parts: int) -> Placement:
    """The placement that shows every box as it is."""
    zeros = torch.zeros(faces, parts)
    return place(zeros + 1, zeros, torch.zeros(faces, parts, 2), torch.zeros(faces) > 0)


def place(scale: Tensor, angle: Tensor, shift: Tensor, flipped: Tensor) -> Placement:
    """A placement from scales ``(B, P)``, angles in radians ``(B, P)``, shifts, flips ``(B,)``.

    Mirroring comes first, then rotation and scale about the box's centre, then the shift.
    """
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    mirror = torch.where(flipped, -1.0, 1.0)[:, None]
    rows = (cosine * mirror, -sine, sine * mirror, cosine)
    linear = torch.stack(rows, dim=-1).unflatten(-1, (2, 2))
    return Placement(linear, shift, scale, flipped)


def place_points(points: Tensor, placement: Placement, owners: Tensor) -> Tensor:
    """Points ``(B, K, 2)`` in box units to where they lie in the crops, ``(B, K, 2)``.

    Args:
        points: In box units, of flipped faces already with their indices swapped.
        placement: Where the boxes lie.
        owners: ``(K,)`` int64, the part of each point.
    """
    linear, shift = placement.linear[:, owners], placement.shift[:, owners]
    return (linear @ points[..., None]).squeeze(-1) + shift


def resample(patches: Tensor, placement: Placement, cover: float, pixels: int) -> Tensor:
    """Crops ``(B, P, D, C, C)`` float32 in 0..255, bilinear, all in one call.

    Args:
        patches: ``(B, P, D, S, S)`` uint8 or float, of flipped faces already with parts swapped.
        placement: Where the boxes lie.
        cover: Side of a patch over the side of its box.
        pixels: C.
    """
    faces, parts = patches.shape[:2]
    # linear is a similarity, so its inverse is its transpose over the squared scale
    inverse = placement.linear.transpose(-1, -2) / placement.scale[..., None, None] ** 2
    origin = -(inverse @ placement.shift[..., None])
    theta = torch.cat([inverse, origin], dim=-1) / cover
    # Pixel centres in a system whose -1 and 1 are the outer edges, as in box units; grid_sample
    # calls this align_corners=False. By hand: affine_grid takes twice the time of the sampling.
    centres = (2 * torch.arange(pixels) + 1) / pixels - 1
    theta = theta.flatten(0, 1)[:, None, None]
    across = theta[..., 0] * centres[:, None] + theta[..., 2]  # (B P, 1, C, 2)
    down = theta[..., 1] * centres[:, None, None]  # (B P, C, 1, 2)
    grid = across + down
    crops = functional.grid_sample(
        patches.flatten(0, 1).float(),
        grid,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return crops.unflatten(0, (faces, parts))
