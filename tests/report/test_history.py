"""Damaged lines are named; every curve is drawn; any history gives a readable picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from groupnas.errors import InputError
from groupnas.palette import WASH, look
from groupnas.report.history import history_figure, plot_history, read_history

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
        "changed": 0.1,
        "moved": 0.1 * epoch / 10,
        "channels": {group: 100 + index * epoch for index, group in enumerate(GROUPS)},
        "macs": {group: 2_000_000 + index * epoch for index, group in enumerate(GROUPS)},
        "health": [],
        **changes,
    }


def write(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return path


def test_read(tmp_path: Path) -> None:
    records = [record(1), record(2), record(5)]
    assert read_history(write(tmp_path / "history.jsonl", *records)) == records


KIND = "is damaged, or of another kind of run"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"epoch": 2, "phase"', "is not JSON"),
        ("", "is not JSON"),
        ("[]", f"{KIND}: expected an object, got []"),
        (record(1), "epoch 1 does not follow epoch 1"),
        (record(2, epoch=True), f"{KIND}: epoch: input should be a valid integer, got True"),
        (record(2, phase="rest"), f"{KIND}: phase: input should be 'warmup' or 'search'"),
        (record(2, train_loss=None), f"{KIND}: train_loss: input should be a valid number"),
        (record(2, mask_loss="low"), f"{KIND}: mask_loss: input should be a valid number"),
        (record(2, channels={}), f"{KIND}: channels: dictionary should have at least 1 item"),
        (record(2, macs={"nose": "1"}), f"{KIND}: macs.nose: input should be a valid number"),
        (record(2, macs={"nose": math.nan}), f"{KIND}: macs.nose: input should be a finite number"),
        (record(2, health="ill"), f"{KIND}: health: input should be a valid list, got 'ill'"),
        ({"epoch": 2}, f"{KIND}: phase: missing"),
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
    figure = history_figure(records)
    axes = {axes.get_title(loc="left"): axes for axes in figure.axes}
    curves = {
        (title, line.get_label()): list(line.get_ydata())
        for title, shown in axes.items()
        for line in shown.lines
    }
    assert curves["Loss", "train"] == [record["train_loss"] for record in records]
    mask = curves["Loss", "mask"]
    assert all(map(math.isnan, mask[:2])) and mask[2:] == [2 / epoch for epoch in range(3, 7)]
    assert curves["Masks", "moved (total)"] == [record["moved"] for record in records]
    assert curves["Masks", "moved (epoch)"] == [0.1] * 6
    for index, group in enumerate(GROUPS):
        macs = axes["MACs of each group (M)"].lines[index]
        assert macs.get_color() == look(index).colour
        assert list(macs.get_ydata()) == [record["macs"][group] / 1e6 for record in records]
        channels = axes["Channels of each group"].lines[index]
        assert list(channels.get_ydata()) == [record["channels"][group] for record in records]


def test_warmup_is_shaded_and_health_marked() -> None:
    records = [record(epoch) for epoch in range(1, 7)]
    records[4]["health"] = ["group 'nose' is starving", "and again"]
    figure = history_figure(records)
    loss = figure.axes[0]
    assert [to_hex(patch.get_facecolor()) for patch in loss.patches] == [WASH]
    assert loss.patches[0].get_extents().transformed(loss.transData.inverted()).x1 == 2.5
    marks = [line for line in loss.lines if line.get_marker() == "v"]
    assert list(marks[0].get_xdata()) == [5]
    text = "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "5: group 'nose' is starving\n5: and again" in text


def test_groups_in_given_order_and_unknown_ones_refused() -> None:
    figure = history_figure([record(1)], GROUPS[::-1])
    assert figure.axes[4].lines[0].get_ydata()[0] == record(1)["macs"]["mouth"] / 1e6
    with pytest.raises(InputError, match="epoch 1: channels: no group 'node'; did you mean 'nose'"):
        history_figure([record(1)], ["node"])


@pytest.mark.parametrize(("epochs", "groups", "ill"), [(1, 2, 0), (3, 4, 3), (90, 14, 40)])
def test_text_stays_inside(epochs: int, groups: int, ill: int) -> None:
    values = {f"part number {index}, a long name": 100 + index for index in range(groups)}
    records = [
        record(e, channels=values, macs=values, mask_loss=None) for e in range(1, epochs + 1)
    ]
    for entry in records[:ill]:
        entry["health"] = ["stage2.block1.hidden: " + "a very long message " * 9]
    figure = history_figure(records)
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
    one = plot_history(records, tmp_path / "1.svg", GROUPS)
    two = plot_history(records, tmp_path / "2.svg", GROUPS)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(InputError, match="holds no epoch"):
        plot_history([], tmp_path / "3.svg")
