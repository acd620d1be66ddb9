"""The geometry of drawn faces: identity, expression and pose, turned into 68 landmarks.

A face lives in its own frame: x to the right of the image, y down, z towards the camera, the
middle between the eyes at the origin, half the face's width about 1. :class:`View` turns the head
and places it in the image, in fractions of the image's side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A mirrored left eye or brow, read in the order of the right one's landmarks.
_MIRRORED_EYE = [3, 2, 1, 0, 5, 4]
_MIRRORED_BROW = [4, 3, 2, 1, 0]


@dataclass(frozen=True)
class Identity:
    """Whose face it is; lengths in face units."""

    jaw_width: float
    jaw_drop: float
    jaw_square: float
    eye_x: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    brow_lift: float
    brow_arch: float
    brow_tilt: float
    nose_width: float
    nose_length: float
    nose_tip: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    cupid_bow: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Identity:
        spread = np.clip(rng.standard_normal(18), -2.2, 2.2)
        middle_and_step = (
            (1.0, 0.05), (1.56, 0.06), (0.83, 0.07),  # jaw
            (0.42, 0.02), (0.18, 0.012), (0.088, 0.01), (0.02, 0.02),  # eyes
            (0.27, 0.03), (0.07, 0.025), (0.0, 0.025),  # brows
            (0.2, 0.012), (0.64, 0.03), (0.13, 0.01),  # nose
            (0.31, 0.02), (0.37, 0.03), (0.085, 0.022), (0.12, 0.025), (0.2, 0.07),  # mouth
        )  # fmt: skip
        return cls(*(float(m + s * x) for (m, s), x in zip(middle_and_step, spread, strict=True)))


@dataclass(frozen=True)
class Expression:
    """The state of a face; 0 is rest unless said otherwise. Pairs are (left, right)."""

    eye_open: tuple[float, float]  # 0 shut, 1 rest
    brow_raise: tuple[float, float]
    frown: float
    mouth_open: float  # height of the gap between the lips, face units
    smile: float  # > 0 corners up and out, < 0 down
    pucker: float
    skew: float  # one corner higher than the other
    shift: float  # mouth pushed to a side
    gaze: tuple[float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Expression:
        blink = rng.random() < 0.12
        lids = rng.uniform(0.0, 0.25) if blink else rng.uniform(0.6, 1.35)
        lift = rng.normal(0.0, 0.055)
        opened = rng.random() < 0.55
        pursed = rng.random() < 0.2
        return cls(
            eye_open=(_clip(lids + rng.normal(0, 0.06)), _clip(lids + rng.normal(0, 0.06))),
            brow_raise=(lift + rng.normal(0, 0.02), lift + rng.normal(0, 0.02)),
            frown=max(0.0, rng.normal(0.0, 0.5)),
            mouth_open=rng.uniform(0.03, 0.42) ** 1.15 if opened else rng.uniform(0.0, 0.015),
            smile=float(np.clip(rng.normal(0.15, 0.5), -0.9, 1.2)),
            pucker=rng.uniform(0.2, 1.0) if pursed else 0.0,
            skew=float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)),
            shift=float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)),
            gaze=(rng.uniform(-0.35, 0.35), rng.uniform(-0.2, 0.2)),
        )


@dataclass(frozen=True)
class View:
    """A turned head in the image: face units ``(n, 3)`` to fractions of its side ``(n, 2)``."""

    turn: np.ndarray
    scale: float
    shift: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator, face: np.ndarray) -> View:
        """Turn the head up to 28, 16 and 20 degrees (yaw, pitch, roll) and frame its landmarks."""
        spread = np.clip(rng.standard_normal(3), -2.0, 2.0)
        yaw, pitch, roll = np.deg2rad(spread * np.array([14.0, 8.0, 10.0]))
        share = rng.uniform(0.5, 0.6)
        offset = rng.uniform(-0.03, 0.03, 2)
        turn = (_rotation(0, 1, roll) @ _rotation(2, 1, pitch) @ _rotation(2, 0, yaw))[:2]
        turned = face @ turn.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        scale = float(share / (high - low).max())
        # The face sits a little below the middle: hair needs room.
        shift = np.array([0.5, 0.57]) + offset - scale * (low + high) / 2
        return cls(turn, scale, shift)

    @property
    def axes(self) -> np.ndarray:
        """The face's right and down in the image, one face unit long: ``(2, 2)``."""
        return self.turn[:, :2].T * self.scale

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points @ self.turn.T * self.scale + self.shift


def landmarks(who: Identity, doing: Expression) -> np.ndarray:
    """The 68 landmarks in the face's own frame, before any turn of the head: ``(68, 3)``."""
    return np.concatenate(
        [
            _jaw(who, doing),
            _brows(who, doing),
            _nose(who, doing),
            _eyes(who, doing),
            _mouth(who, doing),
        ]
    )


def head_outline(who: Identity, face: np.ndarray) -> np.ndarray:
    """The jaw's landmarks closed by temples and crown, ``(n, 3)``, for the skin's edge."""
    angles = np.linspace(0, np.pi, 17)[1:-1]
    right, left = face[16], face[0]
    middle, radius = (right + left) / 2, (right - left)[0] / 2
    crown = np.stack(
        [
            middle[0] + radius * 1.04 * np.cos(angles),
            middle[1] - (1.02 + 0.1 * who.jaw_drop) * np.sin(angles) ** 0.8,
            -0.45 + 0.45 * np.sqrt(np.sin(angles)),
        ],
        axis=1,
    )
    return np.concatenate([face[:17], crown])


def _jaw(who: Identity, doing: Expression) -> np.ndarray:
    angle = np.linspace(0, np.pi, 17)
    cos, sin = np.cos(angle), np.sin(angle)
    drop = who.jaw_drop + 0.55 * doing.mouth_open
    x = -who.jaw_width * np.sign(cos) * np.abs(cos) ** who.jaw_square
    x += 0.4 * doing.shift * sin**2
    return np.stack([x, 0.06 + (drop - 0.06) * sin, 0.3 * sin - 0.45 * cos**2], axis=1)


def _brows(who: Identity, doing: Expression) -> np.ndarray:
    along = np.linspace(-1, 1, 5)  # -1 the outer end, 1 the inner end
    brows = []
    for lift in doing.brow_raise:
        x = -0.46 + 0.3 * along + 0.03 * doing.frown * (along > 0) * along
        arch = who.brow_arch * (1 - (along + 0.25) ** 2)
        y = -who.brow_lift - lift * (1 + 0.25 * along) - arch + who.brow_tilt * along
        y += 0.06 * doing.frown * np.maximum(along, -0.3)
        brows.append(np.stack([x, y, 0.36 - 0.09 * (1 - along) ** 2], axis=1))
    return np.concatenate([brows[0], _mirror(brows[1])[_MIRRORED_BROW]])


def _nose(who: Identity, doing: Expression) -> np.ndarray:
    top, tip = -0.02, who.nose_length - who.nose_tip
    bridge = np.zeros((4, 3))
    bridge[:, 1] = np.linspace(top, tip, 4)
    bridge[:, 2] = [0.36, 0.45, 0.55, 0.64]
    flare = 1 + 0.05 * max(doing.smile, 0.0)
    x = who.nose_width * flare * np.array([-1, -0.52, 0, 0.52, 1])
    y = who.nose_length + np.array([-0.05, -0.015, 0.015, -0.015, -0.05])
    return np.concatenate([bridge, np.stack([x, y, [0.36, 0.45, 0.5, 0.45, 0.36]], axis=1)])


def _eyes(who: Identity, doing: Expression) -> np.ndarray:
    along = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])
    upper, lower = np.array([0, 1, 1, 0, 0, 0]), np.array([0, 0, 0, 0, 1, 1])
    eyes = []
    for opened in doing.eye_open:
        shut = 0.35 * who.eye_height
        above = shut - 1.15 * who.eye_height * opened
        below = shut + who.eye_height * (
            0.06 + 0.3 * opened - 0.12 * max(doing.smile, 0.0) * opened
        )
        y = upper * above + lower * below + who.eye_tilt * along
        x = -who.eye_x + who.eye_width * along
        eyes.append(np.stack([x, y, 0.2 + 0.06 * along + 0.03 * (upper + lower)], axis=1))
    return np.concatenate([eyes[0], _mirror(eyes[1])[_MIRRORED_EYE]])


def _mouth(who: Identity, doing: Expression) -> np.ndarray:
    width = who.mouth_width * (
        1 + 0.2 * doing.smile - 0.38 * doing.pucker - 0.25 * doing.mouth_open
    )
    lips = 1 - 0.2 * max(doing.smile, 0.0) + 0.35 * doing.pucker
    upper_lip, lower_lip = max(who.upper_lip, 0.04) * lips, max(who.lower_lip, 0.055) * lips
    bow = 1 - max(who.cupid_bow, 0.0)

    def curve(along: list[float], edge: float) -> np.ndarray:
        """Points on the line of the lips' meeting, moved by ``edge`` of the gap between them."""
        u = np.array(along)
        y = -0.17 * doing.smile * u**2 + doing.skew * u + edge * doing.mouth_open * (1 - u**2)
        z = 0.47 - 1.4 * (width * u) ** 2 + 0.08 * doing.pucker
        return np.stack([width * u + doing.shift, y, z], axis=1)

    above, below = -0.2, 0.8  # the lower jaw does most of the opening
    upper = curve([-1, -0.62, -0.26, 0, 0.26, 0.62, 1], above)
    upper[:, 1] -= upper_lip * np.array([0, 0.68, 1, bow, 1, 0.68, 0])
    lower = curve([0.68, 0.34, 0, -0.34, -0.68], below)
    lower[:, 1] += lower_lip * np.array([0.62, 0.94, 1, 0.94, 0.62])
    # Within the triangle of a corner and the lips' next points, hence inside at every turn.
    left = 0.64 * upper[:1] + 0.18 * (upper[1:2] + lower[4:])
    right = 0.64 * upper[6:] + 0.18 * (upper[5:6] + lower[:1])
    inner_upper, inner_lower = curve([-0.4, 0, 0.4], above), curve([0.4, 0, -0.4], below)
    mouth = np.concatenate([upper, lower, left, inner_upper, right, inner_lower])
    mouth[:, 1] += who.nose_length + who.mouth_y - 0.05 * max(doing.smile, 0.0)
    return mouth


def _rotation(first: int, second: int, angle: float) -> np.ndarray:
    """A turn by ``angle`` radians in the plane of two axes, from the first to the second."""
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _mirror(points: np.ndarray) -> np.ndarray:
    return points * np.array([-1.0, 1.0, 1.0])


def _clip(openness: float) -> float:
    return float(min(max(openness, 0.0), 1.35))
