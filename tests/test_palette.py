"""The colours stay apart under colour blindness and in grey print."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from groupnas.palette import COLOURS, HATCHES, contrast, look

# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; they apply to linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(  # of linear sRGB, D65 (IEC 61966-2-1)
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


def lab(colour: str, vision: str = "normal") -> np.ndarray:
    """CIELAB (L, a, b) of a colour as somebody sees it."""
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / XYZ.sum(axis=1)
    f = [np.cbrt(v) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measure_itself() -> None:
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    # Grey is grey to everybody.
    for vision in VISION:
        assert lab("#808080", vision) == pytest.approx(lab("#808080"), abs=0.1)


@pytest.mark.parametrize("vision", VISION)
def test_neighbours_in_a_stack_are_far_apart(vision: str) -> None:
    seen = [lab(colour, vision) for colour in (*COLOURS, COLOURS[0])]
    for one, other in itertools.pairwise(seen):
        assert np.linalg.norm(one - other) >= 25


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_can_be_told_apart(vision: str) -> None:
    seen = [lab(colour, vision) for colour in COLOURS]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) >= 8  # about four times what is just noticeable
    for one, other in itertools.combinations(seen[:6], 2):
        assert np.linalg.norm(one - other) >= 13


def test_grey_print() -> None:
    lightness = [lab(colour)[0] for colour in COLOURS]
    assert all(abs(one - other) >= 14 for one, other in itertools.pairwise(lightness))
    assert all(abs(a - b) >= 12 for a, b in itertools.combinations(lightness[:4], 2))


def test_text_on_colours_is_readable() -> None:
    assert all(contrast(look(i).ink, look(i).colour) >= 4.5 for i in range(len(COLOURS)))


def test_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_more_groups_than_colours_are_hatched() -> None:
    kinds = {(look(i).colour, look(i).hatch) for i in range(len(COLOURS) * len(HATCHES))}
    assert len(kinds) == len(COLOURS) * len(HATCHES)
    assert look(12).colour == look(0).colour and look(0).hatch == "" != look(12).hatch
