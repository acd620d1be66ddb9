"""What a resumed command takes from its folder: of its own kind, and of the types it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from groupnas.cli.resumption import RecordedCount, recorded_arguments
from groupnas.errors import InputError
from groupnas.saved import Saved


class Arguments(Saved):
    data: str
    limit: RecordedCount | None
    partial: bool | None
    threads: RecordedCount


SOUND = {"data": "synthetic", "limit": None, "partial": True, "threads": 1}
NOT_GIVEN: dict[str, Any] = dict.fromkeys(SOUND)


def write(folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_what_was_recorded(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", strategy={}, arguments=SOUND)
    assert recorded_arguments("search", folder, NOT_GIVEN, Arguments) == SOUND
    given = {**NOT_GIVEN, "threads": 4}  # may differ
    assert recorded_arguments("search", folder, given, Arguments) == {**SOUND, "threads": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": 3}, "arguments: data: input should be a valid string, got 3; was"),
        ({"data": "a\0b"}, r"is damaged: 'a\\x00b' is no text"),
        ({"limit": True}, "arguments: limit: input should be a valid integer, got True"),
        ({"limit": 0}, "arguments: limit: input should be greater than or equal to 1, got 0"),
        ({"limit": 1.5}, "arguments: limit: .*, got 1.5"),
        ({"partial": 1}, "arguments: partial: input should be a valid boolean, got 1"),
        ({"threads": 0}, "arguments: threads: .*, got 0"),
        ({"threads": [1]}, "arguments: threads: input should be a valid integer; was the run sta"),
    ],
)
def test_damage_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", strategy={}, arguments={**SOUND, **change})
    with pytest.raises(InputError, match=f"config.yaml: {message}"):
        recorded_arguments("search", folder, NOT_GIVEN, Arguments)


@pytest.mark.parametrize(
    ("command", "config", "message"),
    [
        (
            "search",
            {"strategies": {}},
            "is the folder of a comparison that is damaged, not of a search; `gr",
        ),
        (
            "search",
            {"recipe": {}},
            "is the folder of a cascade that was stopped, not of a search; `gr",
        ),
        ("train", {"strategy": {}}, "is the folder of a search that was stopped, not of a family"),
        (
            "compare",
            {"training": {}},
            "is the folder of a training .*, not of a comparison",
        ),
    ],
)
def test_another_kind_of_folder(
    command: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "run", **config, arguments=SOUND)
    with pytest.raises(InputError, match=f"run: {message}"):
        recorded_arguments(command, folder, NOT_GIVEN, Arguments)


def test_no_run_but_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(InputError, match="is the folder of an evaluation that .*not of a search"):
        recorded_arguments("search", tmp_path, NOT_GIVEN, Arguments)


def test_a_run_that_another_program_started(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", strategy={}, arguments={})
    with pytest.raises(InputError, match="data: missing; .*was the run started by `"):
        recorded_arguments("search", folder, NOT_GIVEN, Arguments)
