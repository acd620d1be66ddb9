"""Histories of trainings, and their picture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.report import plot_training, read_training

EPOCHS = [
    {"epoch": n, "train_loss": 10.0 / n, "validation": {"eye": 4.0 / n, "mean": 3.0 / n + n / 10}}
    for n in range(1, 9)
]


def write(folder: Path, epochs: list[dict[str, object]]) -> Path:
    folder.mkdir(parents=True)
    file = folder / "history.jsonl"
    file.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_training(write(tmp_path / "global", EPOCHS)) == EPOCHS


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 9: is not JSON"),
        ("[]", "line 9: is damaged, or of another kind of run: expected an object"),
        ('{"epoch": 9, "train_loss": 1}', "line 9: .*: validation: missing"),
        (
            '{"epoch": 9, "train_loss": "low", "validation": {"a": 1, "mean": true}}',
            "line 9: .*: train_loss: .* got 'low'; validation.mean: .* got True",
        ),
        (
            '{"epoch": 9, "train_loss": 1, "validation": {"tail": 1, "mean": 1}}',
            "epoch 9 has not the errors of epoch 1: ",
        ),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path / "global", EPOCHS)
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(InputError, match=message):
        read_training(file)


def test_the_kept_epoch_is_the_best_one(tmp_path: Path) -> None:
    means = [epoch["validation"]["mean"] for epoch in EPOCHS]  # type: ignore[index]
    best = means.index(min(means))
    assert 0 < best < len(means) - 1  # or the next line could pass by chance
    svg = plot_training({"local": EPOCHS}, tmp_path / "a.svg", "NME %").read_text()
    again = plot_training({"local": EPOCHS}, tmp_path / "b.svg", "NME %").read_text()
    assert svg == again
    moved = [*EPOCHS[:best], *EPOCHS[best + 1 :]]
    assert plot_training({"local": moved}, tmp_path / "c.svg", "NME %").read_text() != svg


def test_nothing_to_draw_and_a_wrong_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training"):
        plot_training({}, tmp_path / "a.png", "NME %")
    with pytest.raises(InputError, match="must end in"):
        plot_training({"local": EPOCHS}, tmp_path / "a.txt", "NME %")


def test_the_command_finds_the_stages_of_a_cascade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "run" / "global", EPOCHS)
    write(tmp_path / "run" / "local", EPOCHS[:3])
    (tmp_path / "run/config.yaml").write_text("recipe: {}")
    for given in ("run", "run/local"):
        with pytest.raises(SystemExit) as stopped:
            main(["plot", "--kind", "training", str(tmp_path / given), "-o", f"{tmp_path}/t.svg"])
        assert stopped.value.code == 0
        assert "validation error -->" in (tmp_path / "t.svg").read_text()
    for stage in ("global", "local"):  # a training says what its errors are in when it ends
        (tmp_path / "run" / stage / "result.json").write_text('{"error_unit": "px"}')
    with pytest.raises(SystemExit):
        main(["plot", "--kind", "training", f"{tmp_path}/run", "-o", f"{tmp_path}/t.svg"])
    assert "local: validation error, px -->" in (tmp_path / "t.svg").read_text()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main(["plot", "--kind", "training", f"{tmp_path}/empty", "-o", f"{tmp_path}/t.svg"])
    assert stopped.value.code == 2
    assert (
        "empty: holds no run; expected the folder of a cascade or a training"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("lost", [[0], [3], list(range(8))])
def test_epochs_that_diverged_stop_no_picture(tmp_path: Path, lost: list[int]) -> None:
    """Older runs wrote NaN for them, newer ones write infinity."""
    for value in (math.nan, math.inf):
        epochs = [
            {**epoch, "validation": {"eye": value, "mean": value}} if index in lost else epoch
            for index, epoch in enumerate(EPOCHS)
        ]
        assert plot_training({"local": epochs}, tmp_path / "a.svg", "NME %").stat().st_size > 1000
