"""The networks that the landmark literature compares with, as plain modules with random weights.

Written from the papers' descriptions; only what takes time is here, no training:

- ResNet-50 (He et al. 2016, Table 1) at 224 x 224, with a linear output of 68 points, as Wing loss
  (Feng et al. 2018) uses it;
- HRNetV2-W18 (Sun et al. 2019) at 256 x 256, with heatmaps of 68 points at 64 x 64;
- the hourglass (Newell et al. 2016) as Adaptive Wing loss (AWing, Wang et al. 2019) uses it: four
  stacks of FAN's blocks (Bulat and Tzimiropoulos 2017) with 256 features at 256 x 256, heatmaps of
  68 points and the boundary at 64 x 64, and convolutions that see coordinates (CoordConv) in the
  stem and before each stack. These make it 26.5 G MACs (26.7 G with WFLW's 98 points) and 24.1 M
  parameters; FAN itself, without them, has 25.2 G and 23.8 M. The papers do not give the kernel
  before each stack: 1x1 gives the published figures.

Run it to compare their MACs and parameters with what was published, and to export them:

    python benchmarks/peers.py [--export FOLDER]
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from groupnas.cli.tables import print_table
from groupnas.writing import atomic_path

POINTS = 68


@dataclass(frozen=True)
class Peer:
    """A network and what its literature says of it.

    Attributes:
        make: Builds it.
        side: Of its square RGB input, in pixels.
        macs: Published multiply-accumulates per image.
        params: Published parameters: of ResNet-50 with 1,000 classes for its output.
    """

    make: Callable[[], nn.Module]
    side: int
    macs: float
    params: float


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs))


def conv_relu(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv_norm(inputs, outputs, kernel, stride), nn.ReLU())


class Residual(nn.Module):
    """A ReLU of a branch plus the input, which a 1x1 convolution projects where shapes differ."""

    def __init__(self, branch: nn.Module, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        same = inputs == outputs and stride == 1
        self.branch = branch
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.branch(x) + self.shortcut(x))


def bottleneck(inputs: int, width: int, stride: int = 1) -> Residual:
    """1x1, 3x3, 1x1 with four times the width; the 3x3 strides."""
    branch = nn.Sequential(
        conv_relu(inputs, width),
        conv_relu(width, width, 3, stride),
        conv_norm(width, 4 * width),
    )
    return Residual(branch, inputs, 4 * width, stride)


def basic(width: int) -> Residual:
    """Two 3x3 convolutions."""
    return Residual(
        nn.Sequential(conv_relu(width, width, 3), conv_norm(width, width, 3)), width, width
    )


def resnet50() -> nn.Sequential:
    """``(N, 3, 224, 224)`` to ``(N, 136)``."""
    layers: list[nn.Module] = [conv_relu(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for index in range(count):
            layers.append(bottleneck(channels, width, 2 if stage and not index else 1))
            channels = 4 * width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2 * POINTS)
    )


class Exchange(nn.Module):
    """HRNet's unit: four blocks in each resolution, then each receives the sum of all.

    Finer maps come down by strided 3x3 convolutions, coarser ones up by 1x1 and repetition.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(*(basic(w) for _ in range(4))) for w in widths)
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [block(x) for block, x in zip(self.blocks, maps, strict=True)]
        mixed = []
        for paths in self.paths:
            assert isinstance(paths, nn.ModuleList)
            first, *others = (path(x) for path, x in zip(paths, maps, strict=True))
            mixed.append(functional.relu(sum(others, first)))
        return mixed


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    a, b = widths[source], widths[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(conv_norm(a, b), nn.Upsample(scale_factor=2 ** (source - target)))
    down = [conv_relu(a, a, 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*down, conv_norm(a, b, 3, 2))


class HRNet(nn.Module):
    """HRNetV2-W18: ``(N, 3, 256, 256)`` to heatmaps ``(N, 68, 64, 64)``.

    Stages of 1, 4 and 3 exchange units in 2, 3 and 4 resolutions; the maps of all, brought to the
    finest, are mixed by a 1x1 convolution (version 2) and give the heatmaps.
    """

    WIDTHS = (18, 36, 72, 144)
    UNITS = (1, 4, 3)

    def __init__(self) -> None:
        super().__init__()
        widths = self.WIDTHS
        self.stem = nn.Sequential(
            conv_relu(3, 64, 3, 2),
            conv_relu(64, 64, 3, 2),
            bottleneck(64, 64),
            *(bottleneck(256, 64) for _ in range(3)),
        )
        self.first = conv_relu(256, widths[0], 3)
        self.starts = nn.ModuleList(
            conv_relu(a, b, 3, 2) for a, b in zip((256, *widths[1:]), widths[1:], strict=False)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Exchange(widths[: stage + 2]) for _ in range(count)))
            for stage, count in enumerate(self.UNITS)
        )
        self.head = nn.Sequential(
            conv_relu(sum(widths), sum(widths)), nn.Conv2d(sum(widths), POINTS, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        maps = [self.first(x)]
        for stage, start in zip(self.stages, self.starts, strict=True):
            maps = stage([*maps, start(x if len(maps) == 1 else maps[-1])])
        size = maps[0].shape[-2:]
        up = (functional.interpolate(y, size, mode="bilinear") for y in maps[1:])
        return self.head(torch.cat([maps[0], *up], 1))


def norm_relu_conv(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, kernel))


class MultiScale(nn.Module):
    """FAN's block: three 3x3 convolutions in a row whose outputs are joined, plus the input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.first = norm_relu_conv(inputs, half, 3)
        self.second = norm_relu_conv(half, quarter, 3)
        self.third = norm_relu_conv(quarter, quarter, 3)
        self.shortcut = nn.Identity() if inputs == outputs else norm_relu_conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(first)
        return torch.cat([first, second, self.third(second)], 1) + self.shortcut(x)


class Hourglass(nn.Module):
    """Down to a sixteenth and up again, with a block of its own beside each level."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.beside, self.down, self.up = (MultiScale(width, width) for _ in range(3))
        self.inner = Hourglass(depth - 1, width) if depth > 1 else MultiScale(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(functional.avg_pool2d(x, 2))))
        return self.beside(x) + functional.interpolate(low, scale_factor=2.0)


class CoordConv(nn.Module):
    """A convolution that also sees where it is: x, y and the distance to the centre, in [-1, 1].

    Given a boundary's heatmap, it sees x and y once more, 0 where there is no boundary (AWing,
    Section 5).
    """

    where: Tensor

    def __init__(self, convolution: Callable[[int], nn.Module], inputs: int, side: int) -> None:
        super().__init__()
        line = torch.linspace(-1, 1, side)
        x, y = line.expand(side, side), line[:, None].expand(side, side)
        self.register_buffer("where", torch.stack([x, y, (x**2 + y**2).sqrt() / 2**0.5])[None])
        self.conv = convolution(inputs + 3)

    def forward(self, x: Tensor, boundary: Tensor | None = None) -> Tensor:
        seen = [x, self.where.expand(len(x), -1, -1, -1)]
        if boundary is not None:
            seen.append(self.where[:, :2] * (boundary > 0.05))
        found: Tensor = self.conv(torch.cat(seen, 1))
        return found


class StackedHourglass(nn.Module):
    """AWing's: ``(N, 3, 256, 256)`` to the heatmaps ``(N, 69, 64, 64)`` of its last stack.

    The last heatmap is the boundary. Every stack but the last feeds its features and heatmaps back
    into those of the next.
    """

    def __init__(self, stacks: int = 4, width: int = 256) -> None:
        super().__init__()
        maps, later = POINTS + 1, range(1, stacks)
        self.first = CoordConv(lambda inputs: conv_relu(inputs, 64, 7, 2), 3, 256)
        self.stem = nn.Sequential(
            MultiScale(64, 128), nn.AvgPool2d(2), MultiScale(128, 128), MultiScale(128, width)
        )
        self.starts = nn.ModuleList(
            CoordConv(lambda inputs: nn.Conv2d(inputs, width, 1), width + 2 * (stack > 0), 64)
            for stack in range(stacks)
        )
        self.stacks = nn.ModuleList(
            nn.Sequential(Hourglass(4, width), MultiScale(width, width), conv_relu(width, width))
            for _ in range(stacks)
        )
        self.maps = nn.ModuleList(nn.Conv2d(width, maps, 1) for _ in range(stacks))
        self.features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in later)
        self.back = nn.ModuleList(nn.Conv2d(maps, width, 1) for _ in later)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.first(x))
        found = self.stacks[0](self.starts[0](x))
        heat: Tensor = self.maps[0](found)
        for index, (features, back) in enumerate(zip(self.features, self.back, strict=True), 1):
            x = x + features(found) + back(heat)
            found = self.stacks[index](self.starts[index](x, heat[:, -1:]))
            heat = self.maps[index](found)
        return heat


PEERS = {
    "ResNet-50": Peer(resnet50, 224, 4.1e9, 25.6e6),
    "HRNet-W18": Peer(HRNet, 256, 4.7e9, 9.6e6),
    "hourglass": Peer(StackedHourglass, 256, 26.7e9, 24.1e6),
}


def count(peer: Peer) -> tuple[float, int]:
    """MACs per image, as torch's own counter finds them, and parameters; computes nothing."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = peer.make().eval()
        network(torch.zeros(1, 3, peer.side, peer.side))
    return counter.get_total_flops() / 2, sum(map(Tensor.numel, network.parameters()))


def export(peer: Peer, path: Path) -> None:
    """Write a peer with random weights as one ONNX file, for a batch of one."""
    torch.manual_seed(0)
    network = peer.make().eval()
    with quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(1, 3, peer.side, peer.side),),
            dynamo=True,
            input_names=["x"],
            output_names=["y"],
            verbose=False,
        )
    assert program is not None
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's warnings about itself."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--export", type=Path, help="a folder for their ONNX files")
    folder = parser.parse_args().export
    rows = [["peer", "input", "G MACs", "published", "differs", "M params", "published"]]
    for name, peer in PEERS.items():
        macs, params = count(peer)
        published = [f"{peer.macs / 1e9:.1f}", f"{100 * (macs / peer.macs - 1):+.1f} %"]
        rows.append(
            [
                name,
                f"{peer.side}",
                f"{macs / 1e9:.2f}",
                *published,
                f"{params / 1e6:.2f}",
                f"{peer.params / 1e6:.1f}",
            ]
        )
    print_table(rows, numbers=True)
    for name, peer in PEERS.items() if folder else ():
        path = folder / f"{name.lower()}.onnx"
        export(peer, path)
        print(path)


if __name__ == "__main__":
    main()
