"""``groupnas eval`` with several models: a card, and the ONNX file that was exported from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import caller
from torch.utils.flop_counter import FlopCounterMode

from groupnas.cli.eval import evaluate
from groupnas.errors import InputError
from groupnas.landmarks import dataset
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.synthetic import FACES
from groupnas.landmarks.deployed import cascade_macs, labelled
from groupnas.landmarks.model import Card, load_networks

pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

run = caller(evaluate)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def faces(root: Path, split: str, partial: bool) -> Sequence[Face]:
        return FACES.faces(root, split, partial)[:12]

    monkeypatch.setattr(dataset, "face_set", lambda name: replace(FACES, faces=faces))
    yield


def test_a_line_each(
    card: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both"
    run("--model", card, exported, "--data", "synthetic", "--out", out)
    printed = capsys.readouterr().out.splitlines()
    header, first, second = (re.split(r"\s{2,}", line.strip()) for line in printed[1:4])
    assert header[:6] == ["model", "MB", "M MACs", "ms", "NME %", "to the first"]
    name = card.parent.name
    assert first[0] == name and first[3] == "-"  # a card is not timed
    assert second[0] == "cascade" and 0 < float(second[3]) < 1000
    assert float(second[4]) == pytest.approx(float(first[4]), abs=0.02)  # they are one cascade
    assert re.fullmatch(r"[+-]0\.\d% \[[+-]0\.\d, [+-]0\.\d\]", second[5])
    for label, line in ((name, first), ("cascade", second)):
        scores = json.loads((out / label / "scores.json").read_text())
        assert f"{scores['scores']['full']['cascade']['nme']:.2f}" == line[4]
        assert (out / label / "ced.png").exists() and str(out / label / "faces.csv") in printed


def test_what_they_take(card: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--model", card, exported, "--data", "synthetic", "--json", "--threads", "1")
    told = json.loads(capsys.readouterr().out)
    weights = card.with_suffix(".safetensors")
    assert [one["bytes"] for one in told] == [weights.stat().st_size, exported.stat().st_size]
    assert [one["model"] for one in told] == [str(card), str(exported)]
    counted = 0
    for network in load_networks(card)[1].values():
        with FlopCounterMode(display=False) as counter:
            network.module.eval()(torch.zeros(1, *network.module.input_shape))
        counted += counter.get_total_flops() // 2
    assert told[0]["macs"] == told[1]["macs"] == counted
    assert told[0]["difference"]["mean"] == 0 and told[1]["name"] == "cascade"
    assert told[1]["difference"]["mean"] == pytest.approx(
        told[1]["scores"]["full"]["cascade"]["nme"] - told[0]["scores"]["full"]["cascade"]["nme"]
    )


def test_a_stage_that_looks_twice_counts_twice(card: Path) -> None:
    once = load_networks(card)[0]
    data = once.model_dump(mode="json", by_alias=True)
    for stage in data["stages"].values():
        stage["look"]["mirrored"] = "averaged"
    assert cascade_macs(Card(**data)) == 2 * cascade_macs(once)
    assert cascade_macs(once, True) == cascade_macs(Card(**data), True) == 2 * cascade_macs(once)


def test_each_has_a_name_of_its_own_that_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x/full", "y/full", "z"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "z")
    models = [Path(name) for name in (".", "../x/full", tmp_path / "y/full/model.json", "a.b.onnx")]
    assert [*labelled(models)] == ["z", "full", "full-2", "a.b"]
    with pytest.raises(InputError, match=r"\.\./z: is there twice"):
        labelled([Path("."), Path("../z")])


def test_an_exported_model_alone(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--model", exported, "--data", "synthetic")
    out = capsys.readouterr().out
    assert "pitch + yaw" in out and {"global", "cascade"} <= set(out.split())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("c.onnx", "--mirrored"), "--mirrored: c.onnx looks once; give the model card"),
        (("c.onnx", "--device", "cuda"), "--device cuda: c.onnx runs on the CPU"),
        (("a/c.json", "b/c.json", "a/c.json"), "a/c.json: is there twice"),
    ],
)
def test_what_models_cannot_do(options: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        run("--model", *options, "--data", "synthetic")
