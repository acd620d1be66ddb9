"""Search channels for parts of your own: three shapes, one of them hard to see.

Run it with ``python examples/own_parts.py --out runs/shapes``; it takes less than a minute. To
search for your own parts, write a class like :class:`Shapes` and a file like three_parts.yaml.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import groupnas
from groupnas.engine.strategy import Optimizer
from groupnas.strategies.masks.settings import Masks, MaskSearch, TemperatureSettings

SPACE = Path(__file__).with_name("three_parts.yaml")
SIZE = 16

# How to search; a file does as well, see strategies/ and ``groupnas strategies``.
STRATEGY = MaskSearch(
    title="For small networks",
    warmup_epochs=10,
    epochs=60,
    batch_size=32,
    validation=0.3,
    weights=Optimizer(lr=0.01, schedule="cosine"),
    masks=Masks(
        init="even",
        temperature=TemperatureSettings(start=1.0, end=0.5),
        optimizer=Optimizer(lr=0.1, betas=(0.5, 0.999)),
    ),
)


class Shapes:
    """Drawings of a disc, a square and a faint ring, each in a channel of its own.

    What is to be found is each shape's centre and size. This is all that groupnas asks of a task:
    see ``groupnas.task.Task``, which it need not inherit from.
    """

    name = "shapes"
    inputs: Mapping[str, int] = {"disc": 1, "square": 1, "ring": 1}
    outputs: Mapping[str, int] = {"disc": 3, "square": 3, "ring": 3}  # x, y, size
    error_unit = "px"

    def __init__(self, samples: int = 960, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        # Weights learn from some drawings and masks from others: samples that show the same thing
        # must have the same source.
        self.sources: Sequence[str] = [f"drawing {index:03d}" for index in range(samples)]
        self._truth = torch.empty(samples, 3, 3)  # sample, shape, (x, y, size); in -1..1
        self._truth[..., :2].uniform_(-0.5, 0.5, generator=generator)
        self._truth[..., 2].uniform_(0.2, 0.5, generator=generator)
        noise = torch.randn(samples, 3, SIZE, SIZE, generator=generator)
        self._pixels = _draw(self._truth) + 0.2 * noise

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Drawings ``(B, 3, 16, 16)`` and what is in them ``(B, 3, 3)``; half of them mirrored."""
        pixels, truth = self._pixels[indices], self._truth[indices].clone()
        if generator is not None:  # all that is random comes from the generator
            mirrored = torch.rand(len(indices), generator=generator) < 0.5
            pixels[mirrored] = pixels[mirrored].flip(-1)
            truth[mirrored, :, 0] *= -1
        return pixels, truth

    def mean_output(self) -> Tensor:
        """Where training may start from, ``(9,)``."""
        return self._truth.mean(dim=0).flatten()

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of predictions ``(B, 9)``."""
        return torch.nn.functional.mse_loss(predicted, target.flatten(1))

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean distance of each shape's three numbers from the truth ``(B, 3)``, in pixels."""
        return (predicted.view_as(target) - target).abs().mean(dim=-1) * SIZE / 2

    def to(self, target: Tensor, device: torch.device) -> Tensor:
        """The target, moved to ``device``."""
        return target.to(device)

    def fingerprint(self) -> str:
        """A hash of the samples: a resumed run refuses others."""
        return hashlib.sha256(self._pixels.numpy().tobytes()).hexdigest()


def _draw(truth: Tensor) -> Tensor:
    """Pixels ``(N, 3, 16, 16)`` of shapes ``(N, 3, 3)``, without noise."""
    axis = torch.linspace(-1, 1, SIZE)
    x, y, size = (truth[..., i, None, None] for i in range(3))
    dx, dy = axis - x, axis[:, None] - y
    round_, square = dx.hypot(dy) - size, torch.maximum(dx.abs(), dy.abs()) - size
    disc_edge, square_edge, ring_edge = round_[:, 0], square[:, 1], round_[:, 2].abs() - 0.1
    return torch.stack(
        [
            torch.sigmoid(-20 * disc_edge),
            torch.sigmoid(-20 * square_edge),
            0.4 * torch.sigmoid(-20 * ring_edge),  # faint: the part that needs most
        ],
        dim=1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="the run folder")
    parser.add_argument("--epochs", type=int, help="search epochs, instead of 60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    options = parser.parse_args()
    try:
        run = groupnas.search(
            groupnas.load_space(SPACE),
            Shapes(),
            STRATEGY,
            options.out,
            seed=options.seed,
            epochs=options.epochs,
            resume=options.resume,
        )
    except groupnas.InputError as error:
        raise SystemExit(f"own_parts: {error}") from None
    for part, before in run.result["macs_before"].items():
        after = run.result["macs_after"][part]
        print(f"{part:6} {before:8,} -> {after:8,} MACs ({after / before - 1:+.1%})")
    print(f"details: {run.folder.path}")


if __name__ == "__main__":
    main()
