"""Augmented crops: draw transformations, resample patches, move the points along.

Shapes: B faces, P regions (parts), K points, D channels, S pixels of a patch, C pixels of a crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.landmarks.markup import Markup

# Ranges are checked where settings are read from a file.
Scale = Annotated[float, Field(gt=0, le=10)]
Chance = Annotated[float, Field(ge=0, le=1)]
ErasedShare = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True, repr=False)
class Augmentation:
    """Random changes of a training crop, drawn uniformly; the defaults are of the part crops.

    Scale, rotation and translation are drawn for every region by itself, since in the cascade the
    first network misplaces every part by itself; a face is mirrored as a whole.

    The paper (section IV-B) scales "images" by [0.9, 1.0] in the local stage and by [1.1, 1.16] in
    the global one, of boxes that it does not describe. A network is used in the middle of the range
    that it was trained in, so here the same ranges stand around 1, and the box's margin says what
    1 means.

    What is 0 is not done, and draws nothing. Pixels change in the order of the world: an object in
    front of the face, the light, the lens, the sensor. The network sees each crop at mean 0 and
    standard deviation 1: it notices ``saturation``, of ``brightness`` and ``contrast`` only what
    became black or white, and of ``pca`` only what is not along grey, less than a tenth.

    Attributes:
        scale: Range of the factor by which the *face* grows in its crop.
        rotation: Largest angle in degrees, both ways.
        translation: Largest shift, both ways, x and y on their own, as a share of the crop's side.
        flip: Probability that a face is mirrored.
        shear: Largest shear, both ways: how far a point moves along x for each unit of its y,
            before the rotation.
        erase: Probability that a crop loses a rectangle to an even colour. Source: Zhong et al.,
            "Random Erasing Data Augmentation", AAAI 2020.
        erased: Range of the rectangle's share of the crop's area.
        blur: Largest standard deviation of a Gaussian blur, in pixels of the crop.
        noise: Largest standard deviation of the noise of single pixels, in grey levels of 255.
        brightness: Largest change, both ways, of the factor 1 of all pixels.
        contrast: Likewise of their distance from the crop's mean grey.
        saturation: Likewise of their distance from their own grey; of colour crops.
        pca: Standard deviation of changes along the colours' principal axes; of colour crops.
            Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
            Networks", NIPS 2012, section 4.1.
    """

    scale: tuple[Scale, Scale] = (0.95, 1.05)
    rotation: Annotated[float, Field(ge=0, le=180)] = 6.0
    translation: Chance = 3 / 64
    flip: Chance = 0.5
    shear: Chance = 0.0
    erase: Chance = 0.0
    erased: tuple[ErasedShare, ErasedShare] = (0.02, 0.33)
    blur: Annotated[float, Field(ge=0, le=100)] = 0.0
    noise: Annotated[float, Field(ge=0, le=255)] = 0.0
    brightness: Chance = 0.0
    contrast: Chance = 0.0
    saturation: Chance = 0.0
    pca: Chance = 0.0

    def __repr__(self) -> str:
        """Leave out what came later and is not done: so that older fingerprints stay."""
        older = ("scale", "rotation", "translation", "flip")
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        told = ", ".join(
            f"{name}={value!r}"
            for name, (value, default) in values.items()
            if name in older or value != default
        )
        return f"{type(self).__name__}({told})"


def default_augmentation(markup: Markup) -> Augmentation:
    """The default changes; without mirroring where a markup does not say what that does."""
    return Augmentation() if markup.flip else Augmentation(flip=0.0)


def check_flip(augmentation: Augmentation, markup: Markup) -> None:
    """Raise :class:`InputError` where points are mirrored that nobody said become which others."""
    if augmentation.flip and markup.flip is None:
        raise InputError(
            f"augmentation.flip: {markup.name} says not which points mirroring makes of which; set "
            "it to 0, or list the pairs under mirror in the data file"
        )


@dataclass(frozen=True)
class Placement:
    """The place of each part's box in its crop: ``crop = linear @ box + shift``.

    Both sides are in units where -1 and 1 are the outer edges, of the box and of the crop.

    Attributes:
        linear: ``(B, P, 2, 2)``, a scaled rotation, of a sheared box, of a mirrored one if flipped.
        shift: ``(B, P, 2)``.
        scale: ``(B, P)``; a shear leaves areas as they are.
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
    if not settings.shear:
        return place(scale, angle, shift, flipped)
    shear = settings.shear * (2 * torch.rand(faces, parts, generator=generator) - 1)
    return place(scale, angle, shift, flipped, shear)


def no_placement(faces: int, parts: int) -> Placement:
    """The placement that shows every box as it is."""
    zeros = torch.zeros(faces, parts)
    return place(zeros + 1, zeros, torch.zeros(faces, parts, 2), torch.zeros(faces) > 0)


def place(
    scale: Tensor, angle: Tensor, shift: Tensor, flipped: Tensor, shear: Tensor | None = None
) -> Placement:
    """A placement from scales ``(B, P)``, angles in radians ``(B, P)``, shifts, flips ``(B,)``.

    Mirroring comes first, then the shear ``(B, P)``, rotation and scale about the box's centre,
    then the shift.
    """
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    mirror = torch.where(flipped, -1.0, 1.0)[:, None]
    rows = (cosine * mirror, -sine, sine * mirror, cosine)
    if shear is not None:
        rows = (rows[0], rows[1] + cosine * shear, rows[2], rows[3] + sine * shear)
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
    # Cramer's rule; the determinant is the squared scale, negative where the box is mirrored
    (a, b), (c, d) = (row.unbind(-1) for row in placement.linear.unbind(-2))
    mirror = torch.where(placement.flipped, -1.0, 1.0)[:, None, None, None]
    adjoint = torch.stack((d, -b, -c, a), dim=-1).unflatten(-1, (2, 2))
    inverse = mirror * adjoint / placement.scale[..., None, None] ** 2
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
