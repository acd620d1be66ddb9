from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import groupnas.groupbench
from groupnas.errors import InputError
from groupnas.groupbench import GroupBench, Table

SHIPPED = Path(groupnas.groupbench.__file__).parent / "table.npz"


def test_what_is_saved_is_loaded(make_table: Callable[..., Table], tmp_path: Path) -> None:
    table = make_table()
    table.save(tmp_path / "table.npz")
    loaded = Table.load(tmp_path / "table.npz")
    assert np.array_equal(loaded.validation, table.validation)
    assert np.array_equal(loaded.test, table.test)
    assert loaded.about == table.about


def test_what_is_no_table_is_refused(make_table: Callable[..., Table], tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    table = make_table()
    holed = table.test.copy()
    holed[1, 2, 3, 0] = np.nan
    for wrong, complaint in (
        (replace(table, test=holed), "an error is missing"),
        (replace(table, test=table.test[:, :3]), "expected errors of shape"),
        (replace(table, validation=table.validation[..., :2]), "after 3 epochs"),
    ):
        wrong.save(path)
        with pytest.raises(InputError, match=complaint):
            Table.load(path)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_bytes(b"nothing"), "is damaged"),
        (lambda path: path.write_bytes(SHIPPED.read_bytes()[:1000]), "is damaged"),
        (lambda path: np.savez(path, test=np.zeros(1)), "not a table"),
        (lambda path: np.savez(path, validation=[], test=[], about="[]"), "about"),
        (
            lambda path: np.savez(path, validation=[], test=[], about='{"format": 1}'),
            "parts: missing",
        ),
    ],
)
def test_damaged_files_end_in_one_line(
    tmp_path: Path, write: Callable[[Path], object], complaint: str
) -> None:
    path = tmp_path / "table.npz"
    write(path)
    with pytest.raises(InputError, match=f"table.npz.*{complaint}"):
        Table.load(path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, validation=np.array([{}], dtype=object), test=[], about="{}")
    with pytest.raises(InputError, match="is damaged, or no archive"):
        Table.load(path)


def test_the_shipped_table_is_small_and_complete(bench: GroupBench) -> None:
    assert SHIPPED.stat().st_size < 5_000_000
    assert bench.table.test.shape == (3, 7, 10, bench.seeds)
    assert bench.seeds >= 5
    space = bench.space()
    assert bench.table.about["parts"] == list(space.groups)
    assert bench.table.about["largest"] == {unit: n - 2 for unit, n in space.free_units.items()}


def test_every_network_learned_and_more_channels_help(bench: GroupBench) -> None:
    test, untrained = bench.table.test.mean(axis=-1), bench.table.about["mean_shape"]
    for index, part in enumerate(bench.space().groups):
        assert test[index].max() < untrained[part]
        assert test[index, -1, -1] < 0.95 * test[index, 2, 3] < 0.9 * test[index, 0, 0]


def test_parts_need_channels_unequally(bench: GroupBench) -> None:
    """Else even groups were the answer, and there were nothing to search."""
    test = bench.table.test.mean(axis=-1)
    gains = test[:, 2, 3] - test[:, -1, -1]
    assert gains.max() > 1.5 * gains.min()
