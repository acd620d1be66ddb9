"""The page's text: everything escaped, nothing asked of a network, numbers as written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupnas.palette import COLOURS
from groupnas.report.page import PAGE, collect, render, write_page
from groupnas.report.page.charts import distribution, epoch_chart
from groupnas.report.page.model import (
    Division,
    ErrorCurve,
    Note,
    PageRun,
    Picture,
    Sample,
    Score,
    TetrisData,
)
from groupnas.report.page.render import change, chart_rows, figure
from groupnas.runs.fields import Chart

LIBRARY = "window.vegaEmbed = () => Promise.resolve();"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def filled(text: str) -> PageRun:
    """A run that has this text wherever a run has text."""
    network = TetrisData(
        space=text,
        groups=(text, text + "2"),
        divisions=(Division(title=text, sizes={text: (1, 2)}),),
    )
    return PageRun(
        name=text,
        folder=text,
        kind=text,
        state=text,
        finished=True,
        notes=(Note(text, text),),
        groups=network.groups,
        network=network,
        charts=(Chart(title=text, epochs=(1,), lines={text: (1.0,)}),),
        health=((text or "end", text),),
        scores=(Score(samples=text, network=text, count=1, unit=text, errors={text: 1.0}),),
        curves=(ErrorCurve(samples=text, network=text, unit=text, errors=(1.0,)),),
        settings={text: text},
        environment={text: text},
        data={text: text},
        commands=((text,),),
    )


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes: what no text of a run may change."""
    return [(tag, tuple(attributes)) for tag, attributes in Elements(text).tags]


@settings(max_examples=12)
@given(text=st.text(alphabet="<>&\"'/!-{}%scriptonx= \\\u2028", min_size=1, max_size=24))
def test_no_text_of_a_run_becomes_markup(text: str) -> None:
    assert shape(render([filled(text)], library=LIBRARY)) == shape(
        render([filled("harmless")], library=LIBRARY)
    )


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '" onmouseover="alert(1)',
        "{{ 7 * 7 }}",
        "<!--<script>",
    ],
)
def test_known_attacks_stay_text(text: str) -> None:
    page = render([filled(text)], library=LIBRARY)
    assert shape(page) == shape(render([filled("harmless")], library=LIBRARY))
    networks = json.loads(Elements(page).scripts[0])
    assert networks[0]["space"] == text  # and arrives whole


def test_only_the_pages_own_scripts_may_run(searched: Path) -> None:
    page = render(collect([searched]), library=LIBRARY)
    elements = Elements(page)
    (policy,) = [a["content"] for tag, a in elements.tags if a.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    data, specs, *scripts = elements.scripts
    made = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert len(scripts) == 2 and made == allowed
    for tag, attributes in elements.tags:
        assert not {name for name in attributes if name.startswith("on")}
        assert tag not in ("link", "iframe", "object", "form")
        assert not (attributes.get("src") or attributes.get("href") or "#").startswith("http")


def test_scripts_ship_without_their_own_end() -> None:
    from groupnas.report.page.render import vega

    library = vega()
    assert "</script" not in library and "<!--" not in library and "BSD-3-Clause" in library[:300]
    assert len(library) < 2_000_000


def test_a_search_of_500_epochs_takes_seconds(run_copy: Path, tmp_path: Path) -> None:
    history = run_copy / "history.jsonl"
    last = json.loads(history.read_text().splitlines()[-1])
    records = [json.dumps({**last, "epoch": epoch}) + "\n" for epoch in range(1, 501)]
    history.write_text("".join(records))
    start = time.process_time()
    written = write_page([run_copy], tmp_path / "page")
    # A third of that is usual; more would mean that something grows too fast.
    assert time.process_time() - start < 10
    assert written.page == tmp_path / "page" / PAGE and written.page.stat().st_size < 5_000_000


def test_runs_stand_side_by_side(searched: Path, tmp_path: Path) -> None:
    other = shutil.copytree(searched, tmp_path / "other")
    page = render(collect([searched, other]), library=LIBRARY)
    tags = Elements(page).tags
    assert [a["value"] for tag, a in tags if a.get("type") == "checkbox"] == ["0", "1"]
    assert len([1 for tag, a in tags if "data-tetris" in a]) == 2
    assert 'class="differs"' not in page  # the same settings


def test_differing_settings_are_marked() -> None:
    runs = [replace(filled("x"), settings={"lr": value, "same": "1"}) for value in ("1", "2")]
    page = render(runs, library=LIBRARY)
    assert page.count('<tr class="differs">') == 1


def test_pictures_fill_the_page_only_so_far() -> None:
    big = Picture(title="Located worst", uri="data:image/jpeg;base64," + "A" * 3_000_000)
    faces = filled("x")
    run = replace(faces, best=(Sample(name="a", error=1.0),), pictures=(big, big))
    page = render([run], library=LIBRARY)
    assert len(page) < 5_000_000 and "larger than 5 MB" in page


def test_figures() -> None:
    shown = [figure(v) for v in (None, 0, 12, 84168, 4599.333, 2311360, 0.03326)]
    assert shown == ["", "0", "12", "84,168", "4,599", "2.311 M", "0.03326"]
    assert [change(110, 100), change(90, 100), change(5, 5), change(None, 5)] == [
        "+10.0 %",
        "−10.0 %",
        "",
        "",
    ]


def test_tables_of_charts_end_with_the_last_epoch() -> None:
    chart = Chart(title="Loss", epochs=range(1, 501), lines={"a": [None, *range(2, 501)]})
    rows = chart_rows(chart)
    assert rows[0] == ["epoch", "a"] and rows[1] == ["1", ""] and rows[-1] == ["500", "500"]
    assert len(rows) <= 42


def test_parts_have_their_colours_in_the_spaces_order() -> None:
    chart = Chart(title="MACs", epochs=(1, 2), lines={"b": (1, 2), "a": (3, None)}, groups=True)
    spec = epoch_chart(chart, ("a", "b"))
    assert spec["encoding"]["color"]["scale"] == {"domain": ["a", "b"], "range": list(COLOURS[:2])}
    assert {"epoch": 2, "line": "a", "value": None} not in spec["data"]["values"]
    assert len(spec["data"]["values"]) == 3


@pytest.mark.parametrize(("last", "values"), [(3, [1, 2, 3]), (500, None)])
def test_few_epochs_have_a_tick_each(last: int, values: list[int] | None) -> None:
    epochs = range(1, last + 1)
    chart = Chart(title="Loss", epochs=epochs, lines={"a": [*epochs]}, step="trial")
    axis = epoch_chart(chart, ())["encoding"]["x"]
    assert axis["title"] == axis["field"] == "trial"
    assert axis["axis"].get("values") == values and axis["axis"]["format"] == "d"


def test_distribution_is_the_share_of_faces_below() -> None:
    errors = np.array([1.0, 2.0, 6.0, 20.0])
    spec = distribution(
        "test", [("a", ErrorCurve(samples="t", network="a", unit="%", errors=errors.tolist()))]
    )
    for row in spec["data"]["values"]:
        assert row["value"] == pytest.approx(100 * np.mean(errors <= row["error"]), abs=1e-3)
    assert spec["data"]["values"][-1]["error"] == 10.0
