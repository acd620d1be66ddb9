"""What pruning by importance gains on real faces, and from which freedom.

    GROUPNAS_DATA=DATA python benchmarks/pruning.py --seeds 0 1 2 --budgets 0.5 0.25 0.125

Every seed trains a network at full width and prunes it freely and in the controls ``uniform``,
``depth``, ``parts`` and ``full``, each fine-tuned in the same number of steps. Errors of every face
of the test split, crops around true points, go to ``OUT/STAGE.json``. Choices are made on those
that the searches split off. What is finished in OUT is not done again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from pruned import add_pruned, on_samples

from groupnas.comparison import Evidence
from groupnas.engine.strategy import load_strategy
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_landmarks
from groupnas.landmarks.model import markup_space
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.roles import Gaze
from groupnas.strategies.saliency.settings import Saliency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--recipe", default="300w:quick")
    parser.add_argument("--stage", choices=("local", "global"), default="local")
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 0.25, 0.125])
    parser.add_argument("--arms", nargs="+", default=["free", "uniform", "depth", "parts", "full"])
    parser.add_argument("--epochs", type=int, nargs=3, default=[20, 6, 10])
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("pruning: needs 300w/ in --data-root or GROUPNAS_DATA; skipped")
    torch.set_num_threads(1)
    recipe = load_recipe(options.recipe)
    faces = face_set(recipe.data)
    stage, step = recipe.stages[options.stage], recipe.final_step(options.stage)
    assert isinstance(stage.look, Gaze)
    markup = stage.look.regions(faces.markup)
    task, test = (
        load_landmarks(
            faces,
            options.data_root,
            stage.look,
            split=split,
            augmentation=step.augmentation,
            loss=step.loss.of(markup),
            allow_partial=True,
        )
        for split in ("train", "test")
    )
    space = markup_space(stage.space, markup)
    train, prune, tune = options.epochs
    strategy = load_strategy("saliency").with_settings(
        arms=options.arms,
        budget={"total": options.budgets[0]},
        budgets=options.budgets[1:],
        epochs=train,
        prune_epochs=prune,
        tune_epochs=tune,
    )
    assert isinstance(strategy, Saliency)
    evidence = Evidence.of(
        task.name, space.groups, recipe=options.recipe, stage=options.stage, epochs=options.epochs
    )
    for seed in options.seeds:
        out = options.out / f"{options.stage}-s{seed}"
        add_pruned(evidence, space, task, strategy, seed, out, on_samples(test, 64))
        evidence.save(options.out / f"{options.stage}.json")
    print(evidence.comparison("uniform" if "uniform" in options.arms else None))


if __name__ == "__main__":
    main()
