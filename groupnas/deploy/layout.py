"""The places of a unit's groups' channels, and how a layer between two layouts is computed.

Groups are put together into *buckets*, one after the other, all equally wide: where the groups in
them have fewer channels, the rest is padding, which no weight reads. A unit's channels may stand
anywhere, since the permutation is folded into the weights on both of its sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

Form = Literal["native", "padded", "bucketed", "dense", "split", "channelwise"]

FORMS: dict[Form, str] = {
    "native": "one grouped convolution, its groups equal as they are",
    "padded": "one grouped convolution, its groups padded to equal sizes",
    "bucketed": "one grouped convolution of fewer groups, each block-diagonal",
    "dense": "one convolution without groups, block-diagonal",
    "split": "a convolution for each group",
    "channelwise": "each channel by itself: depthwise or pooling",
}


@dataclass(frozen=True)
class Layout:
    """The places of a unit's channels.

    Attributes:
        sizes: Channels of each group.
        buckets: The groups' indices in each bucket, in the order of their places.
        width: Channels of every bucket, padding included.
    """

    sizes: tuple[int, ...]
    buckets: tuple[tuple[int, ...], ...]
    width: int

    @cached_property
    def channels(self) -> int:
        """The unit's channels, padding included."""
        return len(self.buckets) * self.width

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The groups in the order of their places."""
        return tuple(group for bucket in self.buckets for group in bucket)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Each group's channels."""
        found: dict[int, slice] = {}
        for number, bucket in enumerate(self.buckets):
            start = number * self.width
            for group in bucket:
                found[group] = slice(start, start + self.sizes[group])
                start += self.sizes[group]
        return tuple(found[group] for group in range(len(self.sizes)))

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Channels from one group's first to the next one's, in :attr:`order`: a split's pieces."""
        starts = [self.places[group].start for group in self.order] + [self.channels]
        return tuple(stop - start for start, stop in zip(starts, starts[1:], strict=False))

    @cached_property
    def slot_of(self) -> dict[int, int]:
        """Each group's slot."""
        return dict(zip(self.order, self.slots, strict=True))

    def bucket_start(self, group: int) -> int:
        """The first channel of a group's bucket."""
        number = next(n for n, bucket in enumerate(self.buckets) if group in bucket)
        return number * self.width


def fixed_layouts(sizes: Sequence[int]) -> list[Layout]:
    """The layouts in which every channel stays where it is; the task decides about such a unit."""
    found = []
    for count in range(1, len(sizes) + 1):
        for cuts in combinations(range(1, len(sizes)), count - 1):
            edges = [0, *cuts, len(sizes)]
            buckets = [tuple(range(a, b)) for a, b in zip(edges, edges[1:], strict=False)]
            widths = {sum(sizes[group] for group in bucket) for bucket in buckets}
            if len(widths) == 1:
                found.append(Layout(tuple(sizes), tuple(buckets), widths.pop()))
    return found


def free_layouts(
    sizes: Sequence[int], partitions: Sequence[tuple[tuple[int, ...], ...]], block: int
) -> list[Layout]:
    """The layouts that a unit may have: each partition as narrow as it can be, and in whole blocks.

    The number of channels is a multiple of 4 at least, for the sake of depthwise kernels, unless
    there is no blocked format (``block`` 0).
    """
    found: dict[Layout, None] = {}
    for buckets in partitions:
        widest = max(sum(sizes[group] for group in bucket) for bucket in buckets)
        narrow = widest
        while block and narrow * len(buckets) % 4:
            narrow += 1
        whole = -(-widest // block) * block if block and len(buckets) > 1 else narrow
        for width in {narrow, whole}:
            found[Layout(tuple(sizes), buckets, width)] = None
    return list(found)


def partitions(weights: Sequence[float], most: int = 4) -> list[tuple[tuple[int, ...], ...]]:
    """Ways to put groups into buckets: all of them, or for many groups those of balanced buckets.

    Args:
        weights: Each group's weight; buckets are balanced by it.
        most: Up to so many groups, every partition is considered (15 of 4 groups).
    """
    groups = range(len(weights))
    if len(weights) <= most:
        return sorted(_all_partitions(list(groups)), key=len)
    counts = {2**n for n in range(len(weights).bit_length())} | {3, 5, 6, 12, len(weights)}
    return [_balanced(weights, count) for count in sorted(counts) if count <= len(weights)]


def _all_partitions(groups: list[int]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every partition once, buckets by their first groups."""
    if not groups:
        yield ()
        return
    first, *rest = groups
    for count in range(len(rest) + 1):
        for others in combinations(rest, count):
            left = [group for group in rest if group not in others]
            for behind in _all_partitions(left):
                yield ((first, *others), *behind)


def _balanced(weights: Sequence[float], count: int) -> tuple[tuple[int, ...], ...]:
    """The heaviest group left goes to the lightest bucket; buckets by their first groups."""
    buckets: list[list[int]] = [[] for _ in range(count)]
    for group in sorted(range(len(weights)), key=lambda group: (-weights[group], group)):
        min(buckets, key=lambda b: (sum(weights[g] for g in b), len(b))).append(group)
    return tuple(sorted(tuple(sorted(bucket)) for bucket in buckets))
