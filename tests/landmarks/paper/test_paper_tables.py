"""What tables say of runs that were written by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from groupnas.comparison.samples import SampleErrors
from groupnas.errors import InputError
from groupnas.landmarks.paper import render


def here(name: str, given: Sequence[Path], **options: Any) -> list[dict[str, str]]:
    """The measured rows, of the CSV."""
    rows = csv.DictReader(io.StringIO(render(name, given, "csv", **options)))
    return [row for row in rows if row["figures"] == "here"]


def test_layers_differ_where_the_paper_contradicts_itself() -> None:
    text = render("table1")
    assert text.count("| both |") == 9
    assert "| paper | F0 | Avgpool | - | - | 1 | - | 1² × 256 |" in text
    assert "| here | F0 | Avgpool | - | - | 1 | - | 1² × 128 |" in text
    assert "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |" in text  # texts to the left
    (row,) = here("table2", [])
    assert (row["input"], row["c"], row["output"]) == ("1 × 3968", "102", "1 × 102")


def test_costs_of_gregnet_are_those_printed() -> None:
    rows = list(csv.DictReader(io.StringIO(render("gregnet_table6", (), "csv"))))
    assert [row["figures"] for row in rows] == ["paper", "paper", "paper", "both", "both"]
    assert [row["# MACC (G)"] for row in rows[3:]] == ["1.7430", "1.7444"]
    assert [row["# Parameter (M)"] for row in rows[3:]] == ["11.56", "12.97"]


def test_costs_of_heatmap_networks_stand_below_those_printed() -> None:
    rows = list(csv.DictReader(io.StringIO(render("subpixel_table6", (), "csv"))))
    found = {row["backbone"]: row for row in rows if row["figures"] == "here"}
    assert {name: row["GFLOPS"] for name, row in found.items()} == {
        "MobileNetV2 1.0": "0.43",
        "ResNet-18": "1.54",
        "ResNet-50": "3.22",
    }
    assert [row["Size (MiB)"] for row in found.values()] == ["12.17", "45.57", "94.11"]


def test_whole_test_set_needs_no_mark(runs: ModuleType, tmp_path: Path) -> None:
    model = runs.write_model(tmp_path / "m")
    given = [runs.write_evaluation(tmp_path / "e", model=model)]
    first, second = here("table3", given)
    assert [first[c] for c in ("Common", "Challenging", "Full")] == ["4.00", "6.50", "4.50"]
    assert [second[c] for c in ("Common", "Challenging", "Full")] == ["3.00", "5.50", "3.50"]
    # torchstat: 95.0 M, and 106.3 M with the local network
    assert (first["FLOPs (G)"], second["FLOPs (G)"]) == ("0.095", "0.106")
    assert "other data" not in first["notes"] and "paper: 150" not in first["notes"]
    assert "listed boxes (the paper does not say)" in first["notes"]


def test_other_data_and_protocols_are_marked(runs: ModuleType, tmp_path: Path) -> None:
    model = runs.write_model(tmp_path / "m", alpha=1.0, epochs=90, faces=2012)
    part = {"full": (330, 3.2)}
    given = [runs.write_evaluation(tmp_path / "e", split="common", subsets=part, model=model)]
    _, row = here("table3", given)
    assert (row["Common"], row["Challenging"], row["Full"]) == ("3.20", "", "")
    for words in (
        "Common: other data: 330 of the 554 common faces; 2,012 of the 3,148 training faces",
        "trained for 90 and 90 epochs (paper: 150 and 150)",
        "on wing and wing (paper: D-Loss 0.6 of wing)",
        "even groups (paper: searched)",
        "local stage weighted 0.6 (paper: 1)",
        "Challenging: not measured",
        "Full: not measured",
    ):
        assert words in row["notes"]
    # the faces that training held out fill what no test has, and say so
    _, row = here("table3", [model, *given])
    assert (row["Common"], row["Full"]) == ("3.20", "4.00")
    assert "Full: other data: 314 faces held out of training, not the test faces" in row["notes"]


def test_a_card_that_calls_the_blend_trust_says_the_same(runs: ModuleType, tmp_path: Path) -> None:
    model = runs.write_model(tmp_path / "m")
    card = model / "model.json"
    card.write_text(card.read_text().replace('"blend"', '"trust"'))
    _, row = here("table3", [runs.write_evaluation(tmp_path / "e", model=model)])
    assert "local stage weighted 0.6 (paper: 1)" in row["notes"]


def test_another_papers_network_comes_last_and_is_told(runs: ModuleType, tmp_path: Path) -> None:
    ours = runs.write_evaluation(tmp_path / "e", model=runs.write_model(tmp_path / "m"))
    for row in here("gregnet_table3", [ours]):
        assert "of the network picasso_global (paper: gregnet)" in row["notes"]
    card = json.loads((runs.write_model(tmp_path / "n") / "model.json").read_text())
    card["trained"]["recipe"]["stages"]["global"]["space"] = "gregnet_quick:68"
    (tmp_path / "n/model.json").write_text(json.dumps(card))
    full = {"full": (689, 3.0)}
    theirs = runs.write_evaluation(tmp_path / "f", model=tmp_path / "n", subsets=full)
    rows = here("gregnet_table3", [ours, theirs])
    assert [row["Fullset"] for row in rows] == ["4.00", "3.00"]
    assert all("of the network" not in row["notes"].split("Common")[0] for row in rows)


def test_a_network_that_was_taken_is_not_told_as_the_recipes(
    runs: ModuleType, tmp_path: Path
) -> None:
    card = json.loads((runs.write_model(tmp_path / "m") / "model.json").read_text())
    card["trained"]["global_from"] = "elsewhere"
    (tmp_path / "m/model.json").write_text(json.dumps(card))
    given = [runs.write_evaluation(tmp_path / "e", model=tmp_path / "m")]
    row, _ = here("table3", given)
    assert "the global network is another model's: how it was trained is not known" in row["notes"]
    assert not any(row["NME (%)"] for row in here("table11", given))


def test_other_sets_with_the_same_landmarks_come_last(runs: ModuleType, tmp_path: Path) -> None:
    drawn = runs.write_evaluation(tmp_path / "d", data="synthetic", subsets={"full": (40, 2.0)})
    _, row = here("table3", [drawn])
    assert row["Full"] == "2.00" and "other data: 40 faces of synthetic, not 300w" in row["notes"]
    _, row = here("table3", [drawn, runs.write_evaluation(tmp_path / "e")])
    assert row["Full"] == "3.50" and "synthetic" not in row["notes"]
    assert "how the model was trained is not known here" in row["notes"]
    wflw = runs.write_evaluation(tmp_path / "w", data="wflw", subsets={"full": (9, 2.0)})
    assert here("table3", [wflw])[1]["Full"] == ""  # 98 landmarks


def test_wflw(everything: list[Path]) -> None:
    nme, failures, auc = here("table4", everything)
    assert (nme["Full"], nme["Pose"], nme["Blur"], nme["Expression"]) == (
        "4.50",
        "8.00",
        "5.00",
        "",
    )
    assert (failures["Full"], auc["Pose"]) == ("9.00", "0.600")
    (row,) = here("table12", everything)
    # digits are the printed ones: 4.8 has one
    assert [row["0-10"], row["30-40"], row["80-90"], row["> 90"]] == ["0.25", "3.2", "8.25", ""]
    (row,) = here("table5", everything)
    assert (row["AFLW-Full"], row["AFLW-Frontal"]) == ("", "")


def test_losses(runs: ModuleType, tmp_path: Path) -> None:
    given = [runs.write_model(tmp_path / str(alpha), alpha=alpha) for alpha in (1.0, 1.5)]
    wing, d06, d10, d15 = here("table11", given)
    assert [wing[c] for c in ("NME (%)", "NME along", "NME across")] == ["5.00", "2.80", "1.20"]
    assert d10["NME (%)"] == d15["NME (%)"] == "5.00" and d06["NME (%)"] == ""
    assert "held out of training" in wing["notes"] and "paper: D-Loss" not in d15["notes"]


def test_size_and_speed(everything: list[Path]) -> None:
    wing, _, _, ours = here("table6", everything)
    assert (wing["Latency (ms)"], wing["Parameters (M)"]) == ("76", "")
    assert (ours["Latency (ms)"], ours["Parameters (M)"]) == ("2.0", "2.06")  # one thread
    assert "Latency (ms): on a machine, onnxruntime 1, one thread" in ours["notes"]


def test_operations(comparison: Path, runs: ModuleType, tmp_path: Path) -> None:
    rows = here("table7", [comparison])
    assert [row["grouping state"] for row in rows] == [
        "Gaussian initialization", "FLGC", "Proposed search", "separate", "even",
        "random", "by_hand", "quick, initial",
    ]  # fmt: skip
    assert [rows[2][f"G{n} (M)"] for n in (1, 2, 3, 4)] == ["2.00", "2.10", "1.90", "2.60"]
    assert [rows[0][f"G{n} (M)"] for n in (3, 4)] == ["2.20", "2.30"]
    assert rows[2]["G1 (M) spread"] == "0.00"
    assert "searched for 15 epochs (paper: 500)" in rows[2]["notes"]
    assert "searched for" not in rows[1]["notes"]  # 500
    assert "even groups add up to 11.28 M, the paper's figures to 9.14 M" in rows[2]["notes"]
    wflw = runs.write_comparison(tmp_path / "w", "wflw")
    drawn = runs.write_comparison(tmp_path / "s", "synthetic")
    assert "other data: synthetic, not 300w" in here("table7", [drawn])[0]["notes"]
    rows = here("table8", [comparison, wflw, drawn])
    assert [(r["data set"], r["G4 (M)"]) for r in rows] == [
        ("300W", "2.60"), ("WFLW", "2.60"), ("AFLW", ""), ("synthetic", "2.60"),
    ]  # fmt: skip
    assert "3,148 of the 7,500 training faces" in rows[1]["notes"]


def test_errors_of_groupings(comparison: Path) -> None:
    rows = {row["grouping"]: row for row in here("table9", [comparison])}
    # means of two seeds; hard faces have twice the error
    ours = rows["Searched"]
    assert [ours[c] for c in ("Common", "Challenging", "Full")] == ["1.90", "3.80", "2.85"]
    assert ours["Full spread"] == "0.21"  # 0.3 apart: 0.3 / sqrt(2)
    assert rows["Manual set A"]["Full"] == "3.45" and rows["Manual set B"]["Full"] == ""
    assert rows["Random"]["Full"] == "3.75" and rows["old"]["Full"] == "3.60"
    assert (
        "relative to even: nose 0.9; the paper's sets are unknown"
        in (rows["Manual set A"]["notes"])
    )
    assert "2 of the 554 common test faces" in ours["notes"]
    assert "otherwise by the recipe mine.yaml" in ours["notes"]
    assert "4 of the 689 test faces" in ours["notes"]


def test_changes_are_to_the_first_row(comparison: Path) -> None:
    rows = here("table10", [comparison])
    assert [row["Full"] for row in rows] == ["3.90", "4.05", "3.15", "2.85"]
    # 4.05 / 3.90, 3.15 / 3.90, 2.85 / 3.90
    assert [row["Full change"] for row in rows] == ["", "+3.8%", "-19.2%", "-26.9%"]
    assert "| 2.57 (+4.0%) | 5.33 (+3.3%) | 3.11 (+3.7%) |" in render("table10")


def test_faces_held_out_are_no_test(runs: ModuleType, tmp_path: Path) -> None:
    given = [runs.write_comparison(tmp_path / "c", test=False)]
    row = here("table9", given)[0]
    assert (row["Full"], row["Common"]) == ("2.85", "")
    assert "4 faces held out of training, not the test faces" in row["notes"]


def test_one_subset_is_not_the_full_set(runs: ModuleType, tmp_path: Path) -> None:
    folder = runs.write_comparison(tmp_path / "c")
    for file in folder.glob("train/*/errors-test.npz"):
        found = SampleErrors.load(file)
        everyone = np.ones(4, bool)
        subsets = {"common": everyone, "challenging": ~everyone}
        SampleErrors(**{**vars(found), "subsets": subsets}).save(file)
    row = here("table9", [folder])[0]
    assert (row["Common"], row["Challenging"], row["Full"]) == ("2.85", "", "")
    assert "Full: not measured" in row["notes"]


def test_the_runs_are_named(everything: list[Path], comparison: Path) -> None:
    wflw, bench = everything[1] / "scores.json", everything[-1]
    assert f"Measured figures: {comparison}." in render("table9", everything).replace("\\", "")
    assert f"Measured figures: {wflw}." in render("table4", everything).replace("\\", "")
    assert f"Measured figures: {bench}." in render("table6", everything).replace("\\", "")
    assert "Measured figures" not in render("table9")
    assert "To measure it all: a comparison on 300W with gumbel, manual" in render("table9")
    assert "To measure it all" not in render("table7", everything) + render("table1")


def test_only_searches_like_the_papers_are_held_to_its_epochs(runs: ModuleType) -> None:
    from groupnas.landmarks.paper.runs import ComparedStrategy

    assert ComparedStrategy("a", "searched", runs.GUMBEL, alike=True).epochs == 3 + 12
    assert ComparedStrategy("a", "other", {"algorithm": "knapsack", "epochs": 6}).epochs is None


@pytest.mark.parametrize(
    ("label", "settings", "role"),
    [
        ("x", {"algorithm": "masks", "masks": {"relaxation": "gumbel_soft"}}, "searched"),
        ("x", {"algorithm": "masks", "masks": {"relaxation": "flgc"}}, "flgc"),
        ("x", {"algorithm": "masks", "masks": {"relaxation": "softmax_hard"}}, "other"),
        ("x", {"algorithm": "masks", "masks": 3}, "other"),
        ("x", {"algorithm": "manual", "weights": {"nose": 2.0}}, "manual"),
        ("x", {"algorithm": "manual", "file": "elsewhere.json"}, "other"),
        ("even", {"algorithm": "knapsack"}, "other"),
        ("even_more", {}, "even"),
        ("searched", {}, "searched"),
    ],
)
def test_roles_are_told_by_settings(label: str, settings: dict[str, Any], role: str) -> None:
    from groupnas.landmarks.paper.definition import load_published
    from groupnas.landmarks.paper.runs import role_of

    assert role_of(label, settings, load_published().strategies) == role


def test_another_strategy_in_the_role_of_the_search(comparison: Path) -> None:
    rows = {row["grouping"]: row for row in here("table9", [comparison], searched="even")}
    assert rows["Searched"]["Full"] == "3.15" and rows["quick"]["Full"] == "2.85"
    assert "searched by even, not by the paper's algorithm" in rows["Searched"]["notes"]
    with pytest.raises(InputError, match="'evne' is not among its finished strategies; choose"):
        render("table9", [comparison], searched="evne")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a comparison, a search, a trained cascade"),
        ("{}", "expected a comparison, a search, a trained cascade"),
        ('{"scores": {}, "data": "300w"}', "is damaged: split: missing; normaliser: missing"),
    ],
)
def test_files_that_are_no_runs(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        render("table3", [file])
    assert str(caught.value).startswith(str(file)) and complaint in str(caught.value)
    with pytest.raises(InputError, match="expected the folder of a comparison"):
        render("table3", [tmp_path / "none"])


def test_wrong_asks(comparison: Path) -> None:
    with pytest.raises(InputError, match="format 'pdf': choose from: csv, html, latex, markdown"):
        render("table9", [comparison], "pdf")
    with pytest.raises(InputError, match="figure7: is a figure"):
        render("figure7", [comparison])


def test_a_training_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("recipe: {data: 300w}")
    with pytest.raises(InputError, match="a cascade that was stopped; .*expected one that has"):
        render("table3", [tmp_path])


@pytest.mark.parametrize("rows", [[{"model": "cascade"}], None, [{"timing": 3}]])
def test_damaged_timings(rows: Any, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"rows": rows, "machine": "m", "runtime": "r"}))
    with pytest.raises(InputError, match="bench.json: is damaged: .*; time again"):
        render("table6", [file])


def test_damaged_scores(runs: ModuleType, tmp_path: Path) -> None:
    folder = runs.write_evaluation(tmp_path / "e")
    told = json.loads((folder / "scores.json").read_text())
    (folder / "scores.json").write_text(json.dumps({**told, "scores": None}))
    with pytest.raises(InputError, match="is damaged: scores: .*; evaluate again"):
        render("table3", [folder])
