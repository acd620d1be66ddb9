"""What a name says is what is written under it, or nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from groupnas.errors import InputError
from groupnas.formats import MODEL, TEXTS, check_folder, check_suffix


@pytest.mark.parametrize("name", ["x.onnx", "X.ONNX", "a.b.Onnx"])
def test_a_name_that_says_so(tmp_path: Path, name: str) -> None:
    assert check_suffix(tmp_path / name, MODEL, "an ONNX file") == ".onnx"


@pytest.mark.parametrize("name", ["x.tflite", "x.pt", "x.txt", "x", "x.onnx.gz", ".onnx", "onnx"])
def test_a_name_that_says_otherwise(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"the name of an ONNX file must end in \.onnx$"):
        check_suffix(tmp_path / name, MODEL, "an ONNX file")


def test_no_suffix_where_none_is_as_good() -> None:
    assert check_suffix("table", TEXTS["markdown"], "markdown text") == ""
    with pytest.raises(InputError, match=r"must end in \.md, \.markdown, \.txt$"):
        check_suffix("table.csv", TEXTS["markdown"], "markdown text")


def test_devices_and_pipes_have_any_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "file", "w") as file:  # as `-o /dev/stdout > file` is one
        for path in (tmp_path / "pipe", Path(os.devnull), Path(f"/dev/fd/{file.fileno()}")):
            assert check_suffix(path, MODEL, "an ONNX file") == ".onnx"


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a folder; expected the name of an ONNX file"):
        check_suffix(tmp_path / "x.onnx", MODEL, "an ONNX file")
    with pytest.raises(InputError, match="is a file; expected a folder for the page"):
        check_folder(tmp_path / "file", "the page")


@pytest.mark.parametrize("name", ["page", "run.1", "2026-11-27", "a.json/run", "v0.5"])
def test_names_of_folders(tmp_path: Path, name: str) -> None:
    check_folder(tmp_path / name, "the page")
    (tmp_path / name.partition("/")[0]).touch()  # now it is a file, or below one
    with pytest.raises(InputError, match="is a file; expected a folder for the page"):
        check_folder(tmp_path / name.partition("/")[0], "the page")


@pytest.mark.parametrize("name", ["page.html", "drawn.JPG", "clip.mp4", "scores.json"])
def test_names_of_files_for_folders(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is to be a folder for the page, and has the name of a"):
        check_folder(tmp_path / name, "the page")
    (tmp_path / name).mkdir()  # whoever called it so meant it
    check_folder(tmp_path / name, "the page")
