"""One process of test_two_processes.py: a search in a run folder, whose trials take a moment.

python worker.py JOURNAL LOG RUN SECONDS TRIALS
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from conftest import formula  # type: ignore[import-not-found]

import groupnas
from groupnas.engine.search import search
from groupnas.engine.strategy import load_strategy
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.trials.settings import OptunaSearch

JOURNAL, LOG, RUN, SECONDS, TRIALS = sys.argv[1:]
EXAMPLES = Path(__file__).parents[3] / "examples"


def judge(found: Allocation, epochs: int, seed: int) -> dict[str, float]:
    """Leaves a line before and after; lines this short are written at once."""
    sizes = hash(found)
    with open(LOG, "a") as log:
        log.write(f"begin {RUN} {os.getpid()} {sizes}\n")
    time.sleep(float(SECONDS))
    with open(LOG, "a") as log:
        log.write(f"end {RUN} {os.getpid()} {sizes}\n")
    return formula(found, epochs, seed)


class Slow(OptunaSearch):
    def start(self, *arguments: Any, **keywords: Any) -> Any:
        return super().start(*arguments, **keywords, evaluate=judge)


def main() -> None:
    sys.path.insert(0, str(EXAMPLES))
    import own_parts

    settings = load_strategy("optuna:quick").model_dump()
    settings |= {"storage": JOURNAL, "trials": int(TRIALS), "startup": 4}
    space = groupnas.load_space(EXAMPLES / "three_parts.yaml")
    task = own_parts.Shapes(samples=20)
    resume = Path(RUN, "config.yaml").exists()
    search(space, task, Slow(**settings), RUN, resume=resume)


if __name__ == "__main__":
    main()
