"""One look for every group in every picture: a group's place in the order decides its colour.

The colours alternate dark and light, so that neighbours in a stack stay apart for readers with
any kind of colour blindness and in grey print; the tests measure both. The first two are a dark
and a light blue on purpose: in the shipped spaces they are the two eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = (
    "#20508e",  # blue
    "#69b0e4",  # sky
    "#d75a20",  # vermilion
    "#f4ca48",  # amber
    "#00745c",  # green
    "#d79bc4",  # pink
    "#5b2a6e",  # purple
    "#b9d36b",  # lime
    "#8c2d2d",  # brick
    "#e8a070",  # peach
    "#3d3d3d",  # graphite
    "#c9c9c9",  # silver
)
# Groups beyond the colours repeat them under a hatch; beyond these the hatches repeat too.
HATCHES = ("", "//////", "......", "xxxxxx")

INK, MUTED, PALE, PAPER = "#111111", "#666666", "#e9e9e9", "#ffffff"
WASH, WARNING = "#efefef", "#a00000"


@dataclass(frozen=True)
class Look:
    """The colour and the hatch of one group.

    Attributes:
        colour: Fill or line colour, ``#rrggbb``.
        ink: Colour of text on it, the one of dark and white with more contrast.
        hatch: matplotlib hatch pattern, empty for the first twelve groups.
    """

    colour: str
    ink: str
    hatch: str


def look(index: int) -> Look:
    """The look of the group with this place (from 0) in the order of groups."""
    colour = COLOURS[index % len(COLOURS)]
    hatch = HATCHES[index // len(COLOURS) % len(HATCHES)]
    ink = max((INK, PAPER), key=lambda candidate: contrast(candidate, colour))
    return Look(colour, ink, hatch)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours, 1 to 21 (WCAG 2.1)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    """sRGB to linear light (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
