"""The files of reports/ say what there is, and the data file is what the paper prints."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import yaml

from groupnas.errors import InputError
from groupnas.landmarks.paper import definition_names
from groupnas.landmarks.paper.build import SOURCES
from groupnas.landmarks.paper.definition import (
    FigureDefinition,
    TableDefinition,
    load_definition,
    load_published,
)
from groupnas.spaces import load_space

TABLES = [
    *(f"gregnet_table{number}" for number in (3, 4, 5, 6)),
    *(f"subpixel_table{number}" for number in (3, 4, 6)),
    *(f"table{number}" for number in range(1, 13)),
]
FIGURES = [f"figure{number}" for number in (2, 5, 6, 7, 8)]


def test_all_are_defined_in_order() -> None:
    assert definition_names() == [*FIGURES, *TABLES]


@pytest.mark.parametrize("name", TABLES)
def test_table(name: str) -> None:
    definition = load_definition(name)
    assert isinstance(definition, TableDefinition)
    published = load_published(definition.paper)
    printed = published.tables[definition.published]
    assert printed.where == definition.table
    assert tuple(definition.columns) == printed.columns
    assert definition.data is None or definition.data in published.protocols
    for row in printed.rows:
        assert len(row.label) == len(definition.labels)
    keys = [row.key for row in printed.rows if row.key]
    assert keys and len(set(keys)) == len(keys)
    for measured in definition.measured:
        assert measured.source in SOURCES
        assert {*measured.models, *measured.spaces} <= set(keys)
        for space in chain.from_iterable(measured.spaces.values()):
            load_space(space)


@pytest.mark.parametrize("name", FIGURES)
def test_figure(name: str) -> None:
    definition = load_definition(name)
    assert isinstance(definition, FigureDefinition) and name == f"figure{definition.figure}"
    assert definition.needs or definition.runs
    assert definition.published is None or definition.published in load_published().tables


def test_printed_figures_agree_among_themselves() -> None:
    tables = load_published().tables

    def row(table: str, key: str) -> list[float]:
        return [float(text) for r in tables[table].rows if r.key == key for text in r.texts]

    # the paper says both states of Table VII cost the same, and that 300W's is its searched one
    assert sum(row("table7", "initial")) == pytest.approx(9.14)
    assert sum(row("table7", "searched")) == pytest.approx(9.14)
    assert row("table7", "searched") == row("table8", "300w")
    assert row("table9", "searched") == row("table10", "searched")
    assert row("table3", "cascade")[-1] == row("table6", "cascade")[2] == 0.106
    assert row("table4", "auc")[0] == row("figure6", "cascade")[0]
    assert row("table6", "cascade")[3] == row("figure6", "cascade")[1]
    # "6.18x, 10.25x and 19.96x times faster", section IV-C
    times = [row("table6", key)[3] / 24.1 for key in ("wing", "hrnet", "awing")]
    assert times == pytest.approx([6.18, 10.25, 19.96], abs=0.01)
    # full is the mean of common and challenging over 554 and 135 faces
    for label, *_, texts in ((*r.label, r.texts) for r in tables["table3"].rows):
        common, challenging, full = map(float, texts[:3])
        expected = (554 * common + 135 * challenging) / 689
        if label not in ("LAB", "ADC"):  # quoted so
            assert full == pytest.approx(expected, abs=0.06), label
    # failures and areas are shares, and the subsets of WFLW surround its full set
    for r in tables["table4"].rows:
        full, *subsets = map(float, r.texts)
        assert min(subsets) < full < max(subsets)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"published": "table99"}, "published: "),
        ({"measured": [{"source": "guess"}]}, "measured.source: "),
        ({"columns": 3}, "columns: "),
        ({"colums": {}}, "colums: unknown key"),
    ],
)
def test_own_definition_that_is_wrong(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    from groupnas.landmarks.paper import render

    path = Path(__file__).parents[3] / "reports/table9.yaml"
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    with pytest.raises(InputError) as caught:
        render(str(file))
    assert str(file) in str(caught.value) and complaint in str(caught.value)


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(InputError) as caught:
        load_definition("tabel7")
    told = str(caught.value)
    assert told.startswith("'tabel7' is no table or figure; did you mean 'table7'? choose from: ")
    assert told.endswith(", ".join([*FIGURES, *TABLES]))
