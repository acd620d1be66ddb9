"""Damaged lines are named; every curve is drawn; any history gives a readable picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.palette import WASH, look
from groupnas.report.history import history_figure, plot_history, read_history, read_recorded
from groupnas.runs.fields import Recorded, RecordField

MASKS = load_strategy("gumbel").recorded()
GROUPS = ("left_eye", "right_eye", "nose", "mouth")


def record(epoch: int, /, **changes: Any) -> dict[str, Any]:
    warm = epoch <= 2
    return {
        "epoch": epoch,
        "phase": "warmup" if warm else "search",
        "train_loss": 1 / epoch,
        "mask_loss": None if warm else 2 / epoch,
        "temperature": 5 * 0.9**epoch,
        "entropy": 1 / epoch,
        "decided": 0.5,
        "error": None,
        "changed": 0.1,
        "moved": 0.1 * epoch / 10,
        "channels": {group: 100 + index * epoch for index, group in enumerate(GROUPS)},
        "macs": {group: 2_000_000 + index * epoch for index, group in enumerate(GROUPS)},
        "health": [],
        **changes,
    }


def write(path: Path, *lines: Any) -> Path:
    config = {"strategy": {}, "records": MASKS.to_dict()}
    path.with_name("config.yaml").write_text(yaml.safe_dump(config))
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return path


def test_read(tmp_path: Path) -> None:
    records = [record(1), record(2), record(5)]
    file = write(tmp_path / "history.jsonl", *records)
    assert read_history(file) == records and read_recorded(file) == MASKS
    (tmp_path / "config.yaml").write_text("records: {planned: -1}")
    with pytest.raises(InputError, match=r"config.yaml: is damaged: records.planned: input should"):
        read_history(file)


KIND = "is damaged, or of another kind of run"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"epoch": 2, "phase"', "is not JSON"),
        ("", "is not JSON"),
        ("[]", f"{KIND}: expected an object, got []"),
        (record(1), "epoch 1 does not follow epoch 1"),
        (record(2, epoch=True), f"{KIND}: epoch: input should be a valid integer, got True"),
        (record(2, phase=1), f"{KIND}: phase: input should be a valid string, got 1"),
        (record(2, train_loss=True), f"{KIND}: train_loss: input should be a valid number"),
        (record(2, mask_loss="low"), f"{KIND}: mask_loss: input should be a valid number"),
        (record(2, channels=5), f"{KIND}: channels: input should be a valid dictionary, got 5"),
        (record(2, macs={"nose": "1"}), f"{KIND}: macs.nose: input should be a valid number"),
        (record(2, health="ill"), f"{KIND}: health: input should be a valid list, got 'ill'"),
        ({"phase": "search"}, f"{KIND}: epoch: missing"),
        ('{"epoch": 2, "epoch": 2}', "is not JSON: key 'epoch' stands twice"),
        ('{"epoch": 99999999999999999999}', "a whole number is too large: 99999999999999999999"),
        ('{"\\ud800": 1}', "'\\ud800' is no text"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, line: Any, fault: str) -> None:
    path = write(tmp_path / "history.jsonl", record(1), line, record(3))
    with pytest.raises(InputError) as caught:
        read_history(path)
    assert str(caught.value).startswith(f"{path}, line 2: {fault}")
    assert "\n" not in str(caught.value)


def test_empty_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no epoch yet"):
        read_history(write(tmp_path / "empty.jsonl"))
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_history(tmp_path / "binary.jsonl")


def test_every_curve_is_drawn() -> None:
    records = [record(epoch) for epoch in range(1, 7)]
    figure = history_figure(records, MASKS)
    axes = {axes.get_title(loc="left"): axes for axes in figure.axes}
    curves = {
        (title, line.get_label()): list(line.get_ydata())
        for title, shown in axes.items()
        for line in shown.lines
    }
    assert curves["Loss", "training"] == [record["train_loss"] for record in records]
    mask = curves["Loss", "masks"]
    assert all(map(math.isnan, mask[:2])) and mask[2:] == [2 / epoch for epoch in range(3, 7)]
    assert curves["Channels moved, shares", "in all"] == [record["moved"] for record in records]
    assert curves["Channels moved, shares", "in the epoch"] == [0.1] * 6
    assert "Error of masks' batches" not in axes  # there is none
    for index, group in enumerate(GROUPS):
        macs = axes["MACs of each group (M)"].lines[index]
        assert macs.get_color() == look(index).colour
        assert list(macs.get_ydata()) == [record["macs"][group] / 1e6 for record in records]
        channels = axes["Channels of each group"].lines[index]
        assert list(channels.get_ydata()) == [record["channels"][group] for record in records]


def test_warmup_is_shaded_and_health_marked() -> None:
    records = [record(epoch) for epoch in range(1, 7)]
    records[4]["health"] = ["group 'nose' is starving", "and again"]
    figure = history_figure(records, MASKS)
    loss = figure.axes[0]
    assert [to_hex(patch.get_facecolor()) for patch in loss.patches] == [WASH]
    assert loss.patches[0].get_extents().transformed(loss.transData.inverted()).x1 == 2.5
    marks = [line for line in loss.lines if line.get_marker() == "v"]
    assert list(marks[0].get_xdata()) == [5]
    text = "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "5: group 'nose' is starving\n5: and again" in text


def test_groups_in_given_order_and_unknown_ones_refused() -> None:
    figure = history_figure([record(1)], MASKS, GROUPS[::-1])
    assert figure.axes[4].lines[0].get_ydata()[0] == record(1)["macs"]["mouth"] / 1e6
    with pytest.raises(InputError, match="MACs of each group: no group 'node'; did you mean"):
        history_figure([record(1)], MASKS, ["node"])


@pytest.mark.parametrize(("epochs", "groups", "ill"), [(1, 2, 0), (3, 4, 3), (90, 14, 40)])
def test_text_stays_inside(epochs: int, groups: int, ill: int) -> None:
    values = {f"part number {index}, a long name": 100 + index for index in range(groups)}
    records = [
        record(e, channels=values, macs=values, mask_loss=None) for e in range(1, epochs + 1)
    ]
    for entry in records[:ill]:
        entry["health"] = ["stage2.block1.hidden: " + "a very long message " * 9]
    figure = history_figure(records, MASKS)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        legend = axes.get_legend()
        for text in axes.texts if legend else []:
            assert not legend.get_window_extent(renderer).overlaps(text.get_window_extent(renderer))


def test_saved_twice_the_same(tmp_path: Path) -> None:
    records = [record(epoch) for epoch in range(1, 4)]
    one = plot_history(records, tmp_path / "1.svg", MASKS, GROUPS)
    two = plot_history(records, tmp_path / "2.svg", MASKS, GROUPS)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(InputError, match="holds no epoch"):
        plot_history([], tmp_path / "3.svg")


def test_any_numbers_are_drawn_where_nothing_is_declared() -> None:
    """A strategy that is not installed here, of a folder that does not say what it records."""
    points = {f"coordinate {index}": 0.1 for index in range(14)}
    records = [{"epoch": e, "cost": e, "point": points, "words": "x"} for e in (1, 2)]
    figure = history_figure(records)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["cost", "point", "", ""]
    assert len(figure.axes[1].lines) == 14
    renderer = FigureCanvasAgg(figure).get_renderer()
    box = figure.axes[1].get_tightbbox(renderer)
    assert box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0
    with pytest.raises(InputError, match="no numbers that are drawn"):
        history_figure([{"epoch": 1, "words": "x"}])


def test_charts_share_axes_and_keep_to_what_is_a_share() -> None:
    fields = (
        RecordField("a", "one", "shares", chart="Both"),
        RecordField("b", "two", "shares", chart="Both"),
        RecordField("c", "Alone", "shares"),
    )
    records = [{"epoch": 1, "a": 0.2, "b": 0.3, "c": 1.5}]
    both, alone, *_ = history_figure(records, Recorded(fields=fields, step="trial")).axes
    assert both.get_title(loc="left") == "Both, shares" and len(both.lines) == 2
    assert both.get_ylim() == (-0.03, 1.03) != alone.get_ylim()
    assert both.get_xlabel() == alone.get_xlabel() == "trial"
