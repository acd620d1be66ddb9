"""Charts as Vega-Lite specifications: numbers over epochs, and cumulative error distributions.

Vega draws them as SVG with labels for screen readers; where it moves the pointer's readout, the
same numbers stand in a table under the chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groupnas.palette import COLOURS, INK, MUTED, look
from groupnas.report.page.model import ErrorCurve
from groupnas.runs.fields import Chart

_DASHES = ([1, 0], [5, 2], [1.5, 1.5], [5, 1.5, 1, 1.5])
_LINES = (2, 0, 4, 6, 8, 10)  # of the palette's colours: dark ones, which lines need
_POINTS = 200  # of a distribution; more cannot be seen
_LIMIT = 10.0  # % of the normaliser: what papers draw to

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": MUTED,
        "gridOpacity": 0.25,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": INK, "labelFontSize": 11},
}


def epoch_chart(chart: Chart, groups: Sequence[str]) -> Spec:
    """Lines over epochs, each with a readout at the pointer."""
    names = _in_order(chart.lines, groups) if chart.groups else list(chart.lines)
    rows: list[Spec] = [
        {chart.step: epoch, "line": name, "value": value}
        for name in names
        for epoch, value in zip(chart.epochs, chart.lines[name], strict=True)
        if value is not None
    ]
    colours, dashes = _looks(names, groups if chart.groups else ())
    first, last = chart.epochs[0], chart.epochs[-1]
    span = [first, last] if first < last else [first - 1, last + 1]
    # Few epochs would have ticks between them, whatever the least step is said to be.
    ticks = {"values": list(range(first, last + 1))} if last - first < 8 else {"tickMinStep": 1}
    # "~s" writes 2M for millions, but 35m, for milli, where it means 0.035.
    numbers = "~s" if any(abs(row["value"]) >= 10_000 for row in rows) else "~f"
    return _spec(
        rows,
        names,
        colours,
        dashes,
        x=_axis(chart.step, chart.step, {"format": "d", **ticks}, {"domain": span, "nice": False}),
        y=_axis("value", "", {"format": numbers}, {"zero": False}),
        name=chart.title,
        markers=len(chart.epochs) == 1,
    )


def distribution(samples: str, curves: Sequence[tuple[str, ErrorCurve]]) -> Spec:
    """The share of samples that have at most each error, one line for each curve.

    Args:
        samples: What they were measured on.
        curves: Names and errors, all in one unit; errors beyond the axis stay outside.
    """
    finite = [np.extract(np.isfinite(curve.errors), curve.errors) for _, curve in curves]
    most = max((float(np.quantile(found, 0.99)) for found in finite if len(found)), default=_LIMIT)
    limit = _LIMIT if most > _LIMIT / 3 else most
    edges = np.linspace(0, limit, _POINTS)
    rows = []
    for name, curve in curves:
        shares = np.searchsorted(np.sort(curve.errors), edges, side="right") / len(curve.errors)
        rows += [
            {"error": round(float(edge), 4), "line": name, "value": round(100 * float(share), 3)}
            for edge, share in zip(edges, shares, strict=True)
        ]
    names = [name for name, _ in curves]
    colours, dashes = _looks(names, ())
    return _spec(
        rows,
        names,
        colours,
        dashes,
        x=_axis("error", curves[0][1].unit, {}, {"domain": [0, limit], "nice": False}),
        y=_axis("value", "% of samples", {}, {"domain": [0, 100]}),
        name=f"Cumulative error distribution on {samples}",
    )


def _in_order(lines: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    return [g for g in groups if g in lines] + [name for name in lines if name not in groups]


def _looks(names: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[list[float]]]:
    """Colours and dashes: a group's own, black for what is no group, else dark ones in turn."""
    colours, dashes = [], []
    for place, name in enumerate(names):
        if groups:
            index = groups.index(name) if name in groups else None
            colours.append(INK if index is None else look(index).colour)
            dashes.append(_DASHES[1 if index is None else index // len(COLOURS) % 4])
        else:
            colours.append(look(_LINES[place % len(_LINES)]).colour)
            dashes.append(_DASHES[place // len(_LINES) % 4 if len(names) > 4 else place % 4])
    return colours, [list(dash) for dash in dashes]


def _axis(field: str, title: str, axis: Spec, scale: Spec) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "title": title or None,
        "axis": {"labelFlush": False, "tickCount": 6, **axis},
        "scale": scale,
    }


def _spec(
    rows: list[Spec],
    names: Sequence[str],
    colours: Sequence[str],
    dashes: Sequence[Sequence[float]],
    *,
    x: Spec,
    y: Spec,
    name: str,
    markers: bool = False,
) -> Spec:
    legend = {"columns": 2, "orient": "bottom", "title": None, "symbolType": "stroke"}
    legend |= {"labelLimit": 170, "symbolSize": 300, "symbolStrokeWidth": 2.5}
    colour = {"field": "line", "type": "nominal", "sort": None, "legend": legend}
    colour["scale"] = {"domain": list(names), "range": list(colours)}
    dash = {"field": "line", "type": "nominal", "sort": None, "legend": legend}
    dash["scale"] = {"domain": list(names), "range": list(dashes)}
    readout = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout"}
    shown = {"condition": {"param": "at", "empty": False, "value": 1}, "value": 1 if markers else 0}
    tooltip = [
        {"field": x["field"], "type": "quantitative", "title": x["field"]},
        {"field": "line", "type": "nominal", "title": "line"},
        {"field": "value", "type": "quantitative", "title": "value", "format": ".4~g"},
    ]
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 190,
        "padding": {"left": 4, "top": 6, "right": 12, "bottom": 4},
        "description": f"{name}: lines for {', '.join(names)}",
        "data": {"values": rows},
        "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.8, "clip": True, "aria": False}},
            {
                "mark": {"type": "point", "filled": True, "size": 45, "aria": False},
                "params": [{"name": "at", "select": readout}],
                "encoding": {"opacity": shown, "tooltip": tooltip, "strokeDash": {"value": [1, 0]}},
            },
        ],
        "config": CONFIG,
    }
