"""``groupnas eval`` with a cascade that misses by a known amount, on drawn faces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import caller

from groupnas.cli.eval import evaluate
from groupnas.errors import InputError
from groupnas.landmarks import dataset, mirrored, model
from groupnas.landmarks.data.synthetic import FACES
from groupnas.landmarks.located import Located
from groupnas.landmarks.markup import MARKUPS

run = caller(evaluate)

COUNT = 14


class Fake:
    """Noise around the truth, less of it in the second stage."""

    markup, box = MARKUPS[68], "landmarks"

    def locate_many(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> Located:
        boxes = [box for _, box in faces]
        truth = np.stack([face.points for face in few(None, "test", False)])
        assert len(boxes) == len(truth) == COUNT
        rng = np.random.default_rng(0)
        noise = rng.normal(size=truth.shape) * rng.uniform(0.2, 3, (len(truth), 1, 1))
        return Located({"global": truth + 2 * noise, "local": truth + noise})


def few(root: object, split: str, partial: bool) -> list:
    return [
        replace(face, subsets=frozenset({"first"} if number < 5 else ()))
        for number, face in enumerate(FACES.faces(Path(), split, partial)[:COUNT])
    ]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    split = "test" if "test" in FACES.subsets else next(iter(FACES.subsets))
    faces = replace(FACES, faces=few, subsets={"test": ("first",), split: ("first",)})
    monkeypatch.setattr(dataset, "face_set", lambda name: faces)
    monkeypatch.setattr(model, "load_cascade", lambda path, device: Fake())


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    run("--model", "m.json", "--data", "synthetic")
    out = capsys.readouterr().out
    assert f"synthetic, test: {COUNT} faces. Errors in % of interocular" in out
    lines = [line.split() for line in out.splitlines()]
    scores = {(line[0], line[2]): line for line in lines if line[2:3] in (["global"], ["cascade"])}
    assert set(scores) == {(s, t) for s in ("full", "first") for t in ("global", "cascade")}
    assert scores["first", "cascade"][1] == "5"
    worse, better = (float(scores["full", stage][3]) for stage in ("global", "cascade"))
    assert worse == pytest.approx(2 * better, abs=0.03) and better > 0.5
    assert "pitch + yaw" in out


def test_files_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    run("--model", "m.json", "--data", "synthetic", "--out", out, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((out / "scores.json").read_text()) == printed
    assert printed["model"] == "m.json" and printed["faces"] == COUNT
    assert {path.name for path in out.iterdir()} == {
        "scores.json", "faces.csv", "ced.png", "ced.svg", "worst.png", "best.png",
    }  # fmt: skip
    assert len((out / "faces.csv").read_text().splitlines()) == COUNT + 1


def test_mirrored(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Better(Fake):
        def locate_many(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> Located:
            worse = super().locate_many(faces)
            return Located(dict.fromkeys(worse.stages, worse.points))

    monkeypatch.setattr(mirrored, "looking_twice", lambda cascade: Better())
    scores = []
    for options in ((), ("--mirrored",)):
        run("--model", "m.json", "--data", "synthetic", "--json", *options)
        scores.append(json.loads(capsys.readouterr().out))
    assert [found["mirrored"] for found in scores] == [False, True]
    once, twice = (found["scores"]["full"] for found in scores)
    assert twice["global"] == twice["cascade"] == once["cascade"] != once["global"]


def test_normaliser_option(capsys: pytest.CaptureFixture[str]) -> None:
    run("--model", "m.json", "--data", "synthetic", "--json")
    plain = json.loads(capsys.readouterr().out)
    run("--model", "m.json", "--data", "synthetic", "--json", "--normaliser", "interpupil")
    pupil = json.loads(capsys.readouterr().out)
    ratio = pupil["scores"]["full"]["cascade"]["nme"] / plain["scores"]["full"]["cascade"]["nme"]
    assert 1.2 < ratio < 1.6  # the field's rule of thumb is 1.4
    with pytest.raises(InputError, match="did you mean 'interpupil'"):
        run("--model", "m.json", "--data", "synthetic", "--normaliser", "inter-pupil")


def test_an_unknown_split() -> None:
    with pytest.raises(InputError, match="no split 'tests'; did you mean 'test'"):
        run("--model", "m.json", "--data", "synthetic", "--split", "tests")
