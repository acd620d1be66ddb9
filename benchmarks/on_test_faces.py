"""Scores what `groupnas compare` trained on the test faces, crops around true points, at the end.

    GROUPNAS_DATA=DATA python benchmarks/on_test_faces.py runs/compared -o numbers.json

The comparison is of the last stage of a recipe, whose network is given its grouping and the weights
that validated best. `groupnas compare numbers.json --baseline even` prints what comes of it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from pruned import on_samples

import groupnas as gn
from groupnas.comparison import Evidence
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.stage_task import load_last
from groupnas.runs.begin import recorded_space
from groupnas.tasks import find_data_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="300w:quick")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    recipe, space = load_recipe(options.recipe), recorded_space(options.folder)
    faces = face_set(recipe.data)
    test = load_last(recipe, faces, find_data_root(), space, split="test", allow_partial=True)
    evidence = Evidence.of(recipe.data, space.groups, recipe=options.recipe)
    for cell in sorted((options.folder / "train").glob("*/cell.json")):
        told = json.loads(cell.read_text())
        found = gn.Allocation(space, gn.Grouping.load(cell.parent / "grouping.json"))
        network = found.build().eval()
        state = torch.load(cell.parent / "checkpoint.pt", weights_only=True)
        network.load_state_dict(state["best"])
        scores = {"test": on_samples(test, 64)(network)}
        place = told["strategy"], told["seed"], told["budget"]
        evidence.add(*place, {"mac": found.costs()}, scores, steps=told["steps"])
    evidence.save(options.out)
    print(evidence.comparison("even"))


if __name__ == "__main__":
    main()
