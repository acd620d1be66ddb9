"""Augmented pixels of training crops: an object in front, the light, the lens, the sensor.

Shapes: B faces, P regions, D channels, C pixels of a crop; values are grey levels, 0 to 255.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation

_WHITE = 255.0
_GREY = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R 601, as Pillow's mode L
_ASPECT = 0.3  # of erased rectangles: from this to its inverse, as their authors have it
# Principal axes of ImageNet's colours, a column each, and what lies along them in grey levels: the
# figures of fb.resnet.torch and GluonCV, which Krizhevsky et al. do not print.
_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_ALONG = (55.46, 4.794, 1.148)


def check_colours(settings: Augmentation, channels: int) -> None:
    """Raise :class:`InputError` where crops of so many channels cannot be changed like that."""
    for key in ("saturation", "pca"):
        if channels != 3 and getattr(settings, key):
            raise InputError(
                f"augmentation.{key}: grey crops have no colours; set it to 0, or look.colour of "
                "the stage to true"
            )


def disturb(crops: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Return crops ``(B, P, D, C, C)`` float32 with other pixels, each changed by itself.

    Args:
        crops: In 0..255, D = 1 (grey) or 3 (RGB).
        settings: What is changed, and how much.
        generator: Draws everything, on the CPU; nothing where there is nothing to do.
    """
    if settings.erase:
        crops = _erase(crops, settings, generator)
    if settings.brightness or settings.contrast or settings.saturation or settings.pca:
        crops = _light(crops, settings, generator).clamp(0, _WHITE)
    if settings.blur:
        sigma = settings.blur * torch.rand(crops.shape[:2], generator=generator)
        crops = blurred(crops, sigma, math.ceil(3 * settings.blur))
    if settings.noise:
        sigma = settings.noise * torch.rand(*crops.shape[:2], 1, 1, 1, generator=generator)
        crops = crops + sigma * torch.randn(crops.shape, generator=generator)
        crops = crops.clamp(0, _WHITE)
    return crops


def _erase(crops: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Fill a rectangle that lies inside the crop with one colour."""
    faces, parts, channels, pixels = crops.shape[:4]
    draws = torch.rand(faces, parts, 5, generator=generator)
    colour = _WHITE * torch.rand(faces, parts, channels, 1, 1, generator=generator)
    least, most = settings.erased
    area = least + (most - least) * draws[..., 1]
    aspect = torch.exp(math.log(_ASPECT) * (2 * draws[..., 2] - 1))
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], dim=-1).clamp(max=1)
    first = (1 - sides) * draws[..., 3:]
    centres = (torch.arange(pixels) + 0.5) / pixels
    inside = (centres >= first[..., None]) & (centres < (first + sides)[..., None])  # (B, P, 2, C)
    gone = inside[..., 1, :, None] & inside[..., 0, None, :]  # rows, columns
    gone &= (draws[..., 0] < settings.erase)[..., None, None]
    return torch.where(gone[:, :, None], colour, crops)


def _light(crops: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation, then colours along their axes."""
    amounts = torch.tensor([settings.brightness, settings.contrast, settings.saturation])
    draws = 2 * torch.rand(*crops.shape[:2], 3, generator=generator) - 1
    bright, contrast, saturation = (1 + amounts * draws)[..., None, None, None].unbind(2)
    crops = bright * crops
    middle = _grey(crops).mean(dim=(-1, -2), keepdim=True)
    crops = middle + contrast * (crops - middle)
    if settings.saturation:
        grey = _grey(crops)
        crops = grey + saturation * (crops - grey)
    if settings.pca:
        along = settings.pca * torch.randn(*crops.shape[:2], 3, generator=generator)
        shift = (along * torch.tensor(_ALONG)) @ torch.tensor(_AXES).T
        crops = crops + shift[..., None, None]
    return crops


def _grey(crops: Tensor) -> Tensor:
    """Return how bright pixels are, ``(B, P, 1, C, C)``."""
    if crops.shape[2] == 1:
        return crops
    return (crops * torch.tensor(_GREY)[:, None, None]).sum(dim=2, keepdim=True)


def blurred(crops: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Return crops ``(B, P, D, C, C)`` under a Gaussian blur; edge pixels repeat beyond the crop.

    Args:
        crops: Of any values.
        sigma: ``(B, P)``: standard deviations in pixels; 0 leaves a crop as it is.
        reach: How many pixels the blur looks to each side.
    """
    distance = torch.arange(-reach, reach + 1, dtype=crops.dtype)
    taps = torch.exp(-((distance / sigma[..., None].clamp(min=1e-3)) ** 2) / 2)
    taps = taps / taps.sum(dim=-1, keepdim=True)
    taps = taps[:, :, None].expand(*crops.shape[:3], -1).reshape(-1, 1, 1, 2 * reach + 1)
    flat = crops.flatten(0, 2)[None]  # every channel of every crop under its own taps
    along = functional.pad(flat, (reach, reach, 0, 0), mode="replicate")
    flat = functional.conv2d(along, taps, groups=len(taps))
    down = functional.pad(flat, (0, 0, reach, reach), mode="replicate")
    flat = functional.conv2d(down, taps.mT, groups=len(taps))
    return flat[0].unflatten(0, crops.shape[:3])
