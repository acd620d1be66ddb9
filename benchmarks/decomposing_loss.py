"""Table XI of PicassoNet: the global network under Wing and D-Loss, several seeds each.

Trains the global network of a recipe for every alpha and seed, with nothing else changed, keeps the
best epoch by photos split off the training set, and scores it on these photos and on a test split:
NME, and its parts along and across the boundaries, in %. Wing is D-Loss with alpha = 1. Runs stand
in folders of their own, so that a second call goes on where the first was stopped.

    python benchmarks/decomposing_loss.py --data-root DATA --out runs/d_loss --epochs 10
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from groupnas import load_space
from groupnas.cli.tables import print_table
from groupnas.engine.split import split_by_source
from groupnas.engine.training import train
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.crops import whole_face
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.evaluation import CASCADE, evaluate_faces
from groupnas.landmarks.load import load_faces, load_landmarks
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.roles import Gaze
from groupnas.landmarks.train import SPLIT_SEED
from groupnas.runs.folder import RunFolder
from groupnas.spaces.allocation import Allocation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--recipe", default="300w:quick")
    parser.add_argument("--out", type=Path, default=Path("runs/d_loss"))
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0, 0.6, 1.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--test", default="common", help="a split; whatever is there of it")
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("decomposing_loss: needs real faces; set --data-root or GROUPNAS_DATA")
    torch.set_num_threads(1)
    recipe = load_recipe(options.recipe).with_epochs(options.epochs)
    stage, step = recipe.stages[recipe.first], recipe.final_step(recipe.first)
    assert isinstance(stage.look, Gaze)  # the first looks at the photo
    faces = face_set(recipe.data)
    whole = whole_face(faces.markup)
    space = load_space(stage.space, str(whole.points))
    samples = load_faces(faces, options.data_root, allow_partial=True)
    split = split_by_source([face.source for face in samples], recipe.validation, SPLIT_SEED)
    scored = {
        "validation": [samples[index] for index in split.validation.tolist()],
        options.test: load_faces(faces, options.data_root, options.test, allow_partial=True),
    }
    rows = [["loss", "seed", "faces", "NME %", "along %", "across %"]]
    for seed in options.seeds:
        for alpha in options.alphas:
            task = load_landmarks(
                faces,
                options.data_root,
                stage.look,
                augmentation=step.augmentation,
                loss=step.loss.model_copy(update={"alpha": alpha}).of(whole),
                allow_partial=True,
            )
            torch.manual_seed(seed)
            network = Allocation.even(space).build(task.mean_output())
            folder = options.out / f"alpha{alpha:g}-seed{seed}"
            trained = train(
                network,
                task,
                step.training,
                folder,
                split=split,
                seed=seed,
                resume=RunFolder(folder).exists,
            )
            alone = {recipe.first: Stage(trained.network.eval(), faces.markup, stage.role)}
            located = Cascade(faces.markup, alone, faces.box, {})
            for name, group in scored.items():
                scores = evaluate_faces(located, faces, group, name).scores["full"][CASCADE]
                numbers = (scores.nme, scores.tangential, scores.normal)
                label = "Wing" if alpha == 1 else f"D-Loss {alpha:g}"
                rows.append([label, str(seed), name, *(f"{value:.3f}" for value in numbers)])
                print(*rows[-1], flush=True)
    print_table(rows)
    print(f"{options.epochs} epochs each, {len(split.train):,} training faces; ", end="")
    print(", ".join(f"{len(group)} {name}" for name, group in scored.items()))


if __name__ == "__main__":
    main()
