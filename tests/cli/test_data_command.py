"""``groupnas data``: list, check, preview."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from groupnas.cli import main
from groupnas.cli.data import app
from groupnas.errors import InputError
from groupnas.landmarks.data import w300
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.tasks import DATASETS


def run(*arguments: object) -> None:
    app([str(argument) for argument in arguments], result_action="return_value")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with two drawn faces, which is one too few."""
    monkeypatch.setattr(
        w300, "SPLITS", {"train": {"afw": 3}, "common": {}, "challenging": {"ibug": 1}}
    )
    monkeypatch.setenv("GROUPNAS_DATA", str(tmp_path))
    folder = tmp_path / "300w/afw"
    folder.mkdir(parents=True)
    for index in range(2):
        grey, points = draw_face(index)
        Image.fromarray(grey).save(folder / f"1_{index}.png")
        rows = "\n".join(f"{x} {y}" for x, y in points + 1)
        (folder / f"1_{index}.pts").write_text(rows)
    return tmp_path


def test_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DATASETS)
    assert "  found  " in lines[0] and "https://" in lines[0]
    run("list", "--data-root", root / "nowhere", "--json")
    content = json.loads(capsys.readouterr().out)
    status = {entry["name"]: entry["status"] for entry in content["datasets"]}
    assert status.pop("synthetic") == status.pop("partbench") == "built in"
    assert status == dict.fromkeys(("300w", "wflw", "aflw", "cofw", "cofw68"), "not found")


def test_check_of_an_incomplete_copy(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="incomplete: afw 2 of 3; --allow-partial"):
        run("check", "--data", "300w")
    page = capsys.readouterr().out
    assert "2 of      3  incomplete" in page
    assert "damaged: none" in page and "https://" in page
    run("check", "--data", "300w", "--allow-partial", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["subsets"][0]["found"] == 2 and content["damaged"] == []


def test_check_names_damage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "300w/afw/1_0.pts").write_text("1 2 3")
    with pytest.raises(InputError, match="1 damaged; .*1_0.pts:1: expected x and y"):
        run("check", "--data", "300w", "--allow-partial")
    assert "damaged: 1\n" in capsys.readouterr().out


def test_check_counts_what_it_does_not_name(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (root / "300w/afw/1_0.png").read_bytes()
    for index in range(12):
        (root / f"300w/afw/2_{index:02}.pts").write_bytes((root / "300w/afw/1_0.pts").read_bytes())
        (root / f"300w/afw/2_{index:02}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="12 damaged; .*2_00.png: damaged or not an image"):
        run("check", "--data", "300w", "--allow-partial")
    page = capsys.readouterr().out
    assert "damaged: 12\n" in page and page.count(": damaged or not an image") == 10
    assert "2_09.png" in page and "  and 2 more; --json lists them all\n" in page
    with pytest.raises(InputError):
        run("check", "--data", "300w", "--allow-partial", "--json")
    assert len(json.loads(capsys.readouterr().out)["damaged"]) == 12


def test_what_standard_output_cannot_say_is_escaped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = root.with_name(os.fsdecode(b"caf\xe9"))
    root.rename(odd)
    for encoding in ("ascii", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ended:
            main(["data", "check", "--data", "300w", "--data-root", str(odd), "--allow-partial"])
        stream.flush()
        assert ended.value.code == 0
        assert f"{odd.parent}/caf\\udce9/300w\n".encode() in stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_check_of_what_needs_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    run("check", "--data", "synthetic")
    assert "needs nothing" in capsys.readouterr().out


def test_preview(root: Path, tmp_path: Path) -> None:
    picture = tmp_path / "sheet.png"
    run("preview", "--data", "300w", "--allow-partial", "-o", picture)
    with Image.open(picture) as image:
        assert min(image.size) > 500
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
    with pytest.raises(InputError, match="--allow-partial"):
        run("preview", "--data", "300w", "-o", picture)
    run("preview", "--data", "300w", "--allow-partial", "--recipe", "300w:quick", "-o", picture)
    with Image.open(picture) as image:
        assert min(image.size) > 500
    with pytest.raises(InputError, match="300v"):
        run("preview", "--data", "synthetic", "--recipe", "300v", "-o", picture)
    with pytest.raises(InputError, match="must end in .png"):
        run("preview", "--data", "300w", "-o", tmp_path / "sheet.txt")


def test_unknown_data_set() -> None:
    with pytest.raises(InputError, match="did you mean 'synthetic'"):
        run("check", "--data", "syntetic")
