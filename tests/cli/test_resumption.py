"""What a resumed command takes from its folder: of its own kind, and of the types it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from groupnas.cli.resumption import recorded_arguments
from groupnas.errors import InputError

KINDS: dict[str, Any] = {"data": str, "limit": int | None, "partial": bool | None, "threads": int}
SOUND = {"data": "synthetic", "limit": None, "partial": True, "threads": 1}
NOT_GIVEN: dict[str, Any] = dict.fromkeys(KINDS)


def write(folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_what_was_recorded(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", strategy={}, arguments=SOUND)
    assert recorded_arguments("search", folder, NOT_GIVEN, KINDS) == SOUND
    given = {**NOT_GIVEN, "threads": 4}  # may differ
    assert recorded_arguments("search", folder, given, KINDS) == {**SOUND, "threads": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": 3}, "arguments.data: is damaged: 3"),
        ({"data": "a\0b"}, r"is damaged: 'a\\x00b' is no text"),
        ({"limit": True}, "arguments.limit: is damaged: True"),
        ({"limit": 0}, "arguments.limit: is damaged: 0"),
        ({"limit": 1.5}, "arguments.limit: is damaged: 1.5"),
        ({"partial": 1}, "arguments.partial: is damaged: 1"),
        ({"threads": 0}, "arguments.threads: is damaged: 0"),
        ({"threads": [1]}, r"arguments.threads: is damaged: \[1\]"),
    ],
)
def test_damage_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", strategy={}, arguments={**SOUND, **change})
    with pytest.raises(InputError, match=f"config.yaml: {message}"):
        recorded_arguments("search", folder, NOT_GIVEN, KINDS)


@pytest.mark.parametrize(
    ("command", "config", "message"),
    [
        (
            "search",
            {"strategies": {}},
            "is the folder of a comparison, not of a search; `gr",
        ),
        ("search", {"recipe": {}}, "is the folder of a cascade, not of a search"),
        ("train", {"strategy": {}}, "is the folder of a search, not of a cascade"),
        ("compare", {"training": {}}, "is the folder of a training, not of a comparison"),
    ],
)
def test_another_kind_of_folder(
    command: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "run", **config, arguments=SOUND)
    with pytest.raises(InputError, match=f"run: {message}"):
        recorded_arguments(command, folder, NOT_GIVEN, KINDS)


def test_no_run_but_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(InputError, match="no run to resume here .*; it is the folder of an evalua"):
        recorded_arguments("search", tmp_path, NOT_GIVEN, KINDS)
