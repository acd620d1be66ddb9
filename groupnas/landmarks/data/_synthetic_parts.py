"""How drawn faces look, and the parts they are painted of, from the back to the front.

``axes`` are the face's own directions in the image, right and down, one face unit long: ``(2, 2)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groupnas.landmarks.data._synthetic_canvas import Canvas, oval, smooth
from groupnas.landmarks.data._synthetic_shape import Expression

_SIDES = (-1, 1)


@dataclass(frozen=True)
class Appearance:
    """What is not geometry: greys from 0 to 255, strengths from 0 to 1."""

    skin: float
    background: float
    hair: float
    cloth: float
    fringe: float  # how far the hair comes down the forehead; 0 is bald
    long_hair: bool
    brow_width: float  # at its inner end, face units
    brow_dark: float
    lip_dark: float  # negative: paler than the skin
    iris: float
    teeth: bool
    nostril_dark: float
    lines: float  # wrinkles and folds
    beard: float
    moustache: float
    glasses: bool
    occluded: bool
    light: tuple[float, float]  # where the light comes from, -1 to 1 right and down
    gain: float
    blur: float  # pixels at 160
    noise: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Appearance:
        skin = rng.uniform(90, 210)
        fair = rng.random() < 0.15
        bearded = rng.random() < 0.25
        return cls(
            skin=skin,
            background=rng.uniform(20, 235),
            hair=rng.uniform(150, 230) if fair else rng.uniform(10, 0.75 * skin),
            cloth=rng.uniform(20, 230),
            fringe=rng.uniform(0.05, 0.42) if rng.random() < 0.85 else 0.0,
            long_hair=bool(rng.random() < 0.4),
            brow_width=rng.uniform(0.045, 0.11),
            brow_dark=rng.uniform(0.3, 0.75),
            lip_dark=rng.uniform(0.08, 0.45) * (1 if rng.random() < 0.85 else -0.4),
            iris=rng.uniform(0.15, 0.6),
            teeth=bool(rng.random() < 0.65),
            nostril_dark=rng.uniform(0.3, 0.65),
            lines=rng.uniform(0, 1) ** 2,
            beard=rng.uniform(0.1, 0.5) if bearded else 0.0,
            moustache=rng.uniform(0.15, 0.6) if bearded and rng.random() < 0.7 else 0.0,
            glasses=bool(rng.random() < 0.12),
            occluded=bool(rng.random() < 0.06),
            light=(rng.uniform(-1, 1), rng.uniform(-1, 0.4)),
            gain=min(rng.uniform(0.75, 1.3), 215 / skin),  # skin must not burn out
            blur=rng.uniform(0.2, 0.9),
            noise=rng.uniform(1.5, 5.5),
        )


def draw_background(canvas: Canvas, rng: np.random.Generator, look: Appearance) -> None:
    """A wall with clutter."""
    canvas.fill(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), look.background)
    for _ in range(rng.integers(2, 9)):
        centre, reach = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.3, 2)
        grey = look.background + rng.normal(0, 35)
        if rng.random() < 0.5:
            canvas.fill(oval(centre, (reach[0], reach[1]), np.eye(2)), grey)
        else:
            canvas.fill(centre + rng.normal(0, 1, (4, 2)) * reach, grey)


def draw_head(
    canvas: Canvas,
    rng: np.random.Generator,
    look: Appearance,
    outline: np.ndarray,
    axes: np.ndarray,
) -> None:
    """Hair behind, neck, clothes, ears, and the face's skin up to its outline."""
    upright = canvas.unit * np.eye(2)  # the body does not tilt with the head
    right, down = upright
    middle, chin, jaw = (outline[0] + outline[16]) / 2, outline[8], smooth(outline[:17], 3)
    if look.fringe:
        scalp = np.concatenate([outline[15:], outline[:2]])
        behind = middle + (scalp - middle) * rng.uniform(1.06, 1.25)
        if look.long_hair:
            fall, flare = rng.uniform(0.6, 1.8) * down, rng.uniform(0, 0.25) * right
            ends = behind[0] + fall + flare, behind[-1] + fall - flare
            behind = np.concatenate([ends[:1], behind, ends[1:]])
        canvas.fill(behind, look.hair)
    throat = middle + 2.8 * down + 0.5 * (chin - middle) * [1, 0]
    neck = np.stack([outline[4], outline[12], throat + 0.62 * right, throat - 0.62 * right])
    canvas.fill(neck, look.skin * rng.uniform(0.55, 0.85))
    canvas.fill(oval(chin + 1.4 * down, (1.7, 1.1), upright), look.cloth)
    for ear, side in zip((outline[1], outline[15]), _SIDES, strict=True):
        canvas.fill(oval(ear + side * 0.03 * axes[0], (0.11, 0.25), axes), look.skin * 0.88)
    canvas.fill(np.concatenate([jaw, outline[17:]]), look.skin)
    edge = rng.uniform(0.7, 0.9)
    canvas.stroke(jaw, 0.03, look.skin * edge)
    canvas.shade(jaw, edge, 0.16, fine=False)
    canvas.shade(jaw[:20] if look.light[0] > 0 else jaw[-20:], edge * 0.92, 0.3, fine=False)


def draw_features(
    canvas: Canvas, look: Appearance, doing: Expression, points: np.ndarray, axes: np.ndarray
) -> None:
    """What the landmarks of brows, eyes, nose and mouth lie on, and a beard around them."""
    for eye in (points[36:42], points[42:48]):
        _draw_eye(canvas, look, eye, doing, axes)
    dark = look.hair if look.hair < look.skin else look.skin * 0.7
    brow_grey = look.skin + (dark - look.skin) * look.brow_dark
    taper = np.linspace(0.45, 1.0, 21) * look.brow_width
    canvas.stroke(smooth(points[17:22]), taper, brow_grey)
    canvas.stroke(smooth(points[22:27]), taper[::-1], brow_grey)
    _draw_nose(canvas, look, points[27:36], axes)
    _draw_mouth(canvas, look, points[48:68])
    if look.beard:
        lower_face = np.concatenate([points[2:15], points[54:47:-1] - 0.03 * axes[1]])
        canvas.shade(lower_face, 1 - look.beard, fine=False)
        canvas.shade(points[48:60], 1.0, fine=False)
    if look.moustache:
        above_lip = np.array([-0.02, 0.05, 0.08, 0.1, 0.08, 0.05, -0.02])[:, None] * axes[1]
        canvas.shade(smooth(points[48:55] - above_lip), 1 - look.moustache, 0.13)


def _draw_eye(
    canvas: Canvas, look: Appearance, eye: np.ndarray, doing: Expression, axes: np.ndarray
) -> None:
    """Socket, crease, the eyeball between the lids, and the lids' edges."""
    right, down = axes
    middle, half = (eye[0] + eye[3]) / 2, (eye[3] - eye[0]) / 2
    canvas.shade(oval(middle - 0.04 * down, (0.27, 0.17), axes), 0.84, fine=False)
    upper, lower = smooth(eye[:4]), smooth(eye[[0, 5, 4, 3]])
    canvas.stroke(upper - 0.065 * down, 0.02, look.skin * 0.78)
    iris = middle + doing.gaze[0] * half + (0.07 * doing.gaze[1] - 0.018) * down
    glint = iris + 0.03 * np.sign(look.light[0]) * right - 0.03 * down
    canvas.fill_within(
        np.concatenate([upper, lower[::-1]]),
        look.skin * 0.4 + 130,
        [
            (oval(iris, (0.082, 0.082), axes), look.iris * 170),
            (oval(iris, (0.038, 0.038), axes), 12),
            (oval(glint, (0.014, 0.014), axes), 235),
        ],
    )
    canvas.stroke(lower, 0.016, look.skin * 0.62)
    canvas.stroke(upper, 0.032, look.skin * 0.28)


def _draw_nose(canvas: Canvas, look: Appearance, nose: np.ndarray, axes: np.ndarray) -> None:
    """A lit ridge with its side in shadow, wings, the base's curve and the nostrils."""
    bridge, base = nose[:4], nose[4:]
    far_wing = base[0] if look.light[0] > 0 else base[4]
    shadow = np.concatenate([bridge, [far_wing - 0.12 * axes[1]]])
    canvas.shade(shadow, 0.88 - 0.18 * abs(look.light[0]))
    canvas.shade(bridge, 1.2, 0.05)
    canvas.shade(oval(bridge[3], (0.07, 0.06), axes), 1.22)
    for wing, side in zip((base[0], base[4]), _SIDES, strict=True):
        bend = np.array([[-0.07, -0.16], [0.015, -0.08], [0, 0], [-0.07, 0.035]]) * [side, 1]
        canvas.stroke(smooth(wing + bend @ axes), 0.022, look.skin * 0.68)
        fold = np.array([[0.08, -0.05], [0.2, 0.1], [0.27, 0.3]]) * [side, 1]
        canvas.shade(smooth(wing + fold @ axes), 1 - 0.3 * look.lines, 0.05)
    canvas.stroke(smooth(base), 0.024, look.skin * 0.66)
    for hole in (base[1], base[3]):
        dark = look.skin * (1 - look.nostril_dark)
        canvas.fill(oval(hole - 0.012 * axes[1], (0.058, 0.03), axes), dark)


def _draw_mouth(canvas: Canvas, look: Appearance, mouth: np.ndarray) -> None:
    """Lips, the gap between them, teeth under the upper lip."""
    top, bottom = smooth(mouth[:7]), smooth(mouth[[6, 7, 8, 9, 10, 11, 0]])
    inner_top, inner_bottom = smooth(mouth[12:17]), smooth(mouth[[12, 19, 18, 17, 16]])
    lips = look.skin * (1 - look.lip_dark)
    canvas.shade(bottom + (mouth[9] - mouth[3]) * 0.12, 0.85, 0.08)
    canvas.fill(np.concatenate([top, bottom]), lips)
    canvas.fill(np.concatenate([top, inner_top[::-1]]), lips * 0.86)
    canvas.fill(np.concatenate([inner_top, inner_bottom[::-1]]), look.skin * 0.18)
    gap = float(np.hypot(*(mouth[18] - mouth[14]))) / canvas.unit
    if look.teeth and gap > 0.04:
        teeth = inner_top + min(0.13 / gap, 0.8) * (inner_bottom - inner_top)
        canvas.fill(np.concatenate([inner_top, teeth[::-1]]), 110 + look.skin * 0.5)
    canvas.stroke(inner_top, 0.018, look.skin * 0.35)
    canvas.stroke(top, 0.014, lips * 0.8)
    canvas.shade((mouth[[10, 9, 8]] + mouth[[19, 18, 17]]) / 2, 1.15, 0.04)


def draw_distractors(
    canvas: Canvas,
    rng: np.random.Generator,
    look: Appearance,
    points: np.ndarray,
    outline: np.ndarray,
    axes: np.ndarray,
) -> None:
    """Cheeks, wrinkles, moles, hair over the forehead, glasses, something in front."""
    for eye, side in zip((points[40], points[47]), _SIDES, strict=True):
        cheek = oval(eye + np.array([side * 0.15, 0.38]) @ axes, (0.2, 0.16), axes)
        canvas.shade(cheek, rng.uniform(1.0, 1.2), fine=False)
    for _ in range(rng.poisson(0.8)):
        at = 0.65 * points[30] + 0.35 * points[rng.integers(17)] + rng.normal(0, 0.3) * axes[0]
        radius = rng.uniform(0.015, 0.035)
        canvas.fill(oval(at, (radius, radius), axes), look.skin * rng.uniform(0.35, 0.8))
    for height in (0.5, 0.62, 0.74):
        wrinkle = np.array([[-0.4, 0.0], [0, -0.03], [0.4, 0.0]]) - [0, height]
        canvas.shade(smooth(points[27] + wrinkle @ axes), 1 - 0.25 * look.lines, 0.04)
    if look.fringe:
        _draw_fringe(canvas, rng, look, outline)
    if look.glasses:
        _draw_glasses(canvas, rng, points, axes)
    if look.occluded:
        angle = rng.uniform(0, np.pi)
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = points[rng.integers(68)] + rng.normal(0, 0.2, 2) * canvas.unit
        radii = rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.4)
        canvas.cover(oval(centre, radii, turned * canvas.unit), rng.uniform(10, 245))


def _draw_fringe(
    canvas: Canvas, rng: np.random.Generator, look: Appearance, outline: np.ndarray
) -> None:
    """Hair from the crown down to a ragged hairline, with brighter and darker strands."""
    crown = np.concatenate([outline[16:], outline[:1]])
    middle, count = (outline[0] + outline[16]) / 2, len(crown)
    depth = look.fringe * rng.uniform(0.85, 1, count) * np.sin(np.linspace(0, np.pi, count)) ** 0.7
    hairline = middle + (crown - middle) * np.minimum(1 - depth, 0.97)[:, None]
    top = middle + (crown - middle) * 1.08
    canvas.cover(np.concatenate([top, hairline[::-1]]), look.hair)
    for _ in range(8):
        at = rng.integers(3, count - 3)
        ends = [top[at], hairline[at + rng.integers(-1, 2)]]
        canvas.stroke(np.stack(ends), 0.02, look.hair + rng.normal(0, 18))


def _draw_glasses(
    canvas: Canvas, rng: np.random.Generator, points: np.ndarray, axes: np.ndarray
) -> None:
    grey, width, tint = rng.uniform(5, 120), rng.uniform(0.02, 0.05), rng.uniform(0.75, 1.05)
    radii = rng.uniform(0.26, 0.33), rng.uniform(0.19, 0.27)
    left, right = (
        oval((outer + inner) / 2 + 0.05 * axes[1], radii, axes)
        for outer, inner in ((points[36], points[39]), (points[45], points[42]))
    )
    for rim in (left, right):
        canvas.shade(rim, tint)
        canvas.stroke(np.concatenate([rim, rim[:2]]), width, grey)
    # Corner 0 of an oval is its right end, 12 its left end.
    for ends in ((left[0], right[12]), (points[0], left[12]), (right[0], points[16])):
        canvas.stroke(np.stack(ends), width, grey)
