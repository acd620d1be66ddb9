"""Checks of a task's batches: their form, their order, and that nothing else is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groupnas.engine.task_check.findings import Findings, Stopped, is_finite, kind
from groupnas.engine.task_check.randomness import HIGH, LOW, close, copied, same
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task

_SAMPLES = 6
_DRAWS = 3  # of an augmentation, which may be rare

# Batches, as messages call them.
PLAIN, DRAWN = "batch(indices)", "batch(indices, generator)"

Reseed = Callable[[int], None]


@dataclass(frozen=True)
class Samples:
    """Batches without augmentation, for what is computed from them.

    Attributes:
        count: Different samples among them.
        indices: ``(B,)``, out of order and some twice.
        x: Their pixels.
        target: Their target.
        drawn: A target of the same indices, augmented.
        backward: The target of the same indices, the last first.
        single: The target of the first index alone.
    """

    count: int
    indices: Tensor
    x: Tensor
    target: Any
    drawn: Any
    backward: Any
    single: Any


def check_batches(
    found: Findings, space: SearchSpace | None, task: Task, reseed: Reseed
) -> Samples:
    """Check all that is asked of :meth:`Task.batch`, with and without a generator.

    Raises:
        Stopped: batches are not such that anything can be computed from them.
    """
    total = len(task.sources)
    chosen = sorted({round(step * (total - 1) / (_SAMPLES - 1)) for step in range(_SAMPLES)})
    order = [*reversed(chosen), chosen[0], chosen[-1]]
    indices = torch.tensor(order)
    form = _Form(found, space, task)

    reseed(LOW)
    x, target = form.checked(PLAIN, _first(found, task, indices, total), len(indices))
    kept = copied((x, target), task)
    after = torch.get_rng_state()
    steady = _check_repetition(found, task, indices, kept, after, reseed)
    drawn = _check_drawing(found, task, indices, form, reseed)
    reseed(LOW)
    if steady and not same(kept, _batch(found, task, PLAIN, indices, None)):
        found.add(f"{DRAWN}: changes the samples that later batches are made of; draw on copies")
    backward, single = _check_order(found, task, indices, x=kept[0], form=form)
    if x.device.type == "cpu":  # elsewhere a wrong index may end the process
        _check_count(found, task, total)
    return Samples(len(chosen), indices, kept[0], kept[1], drawn, backward, single)


class _Form:
    """The form that a batch must have."""

    def __init__(self, found: Findings, space: SearchSpace | None, task: Task) -> None:
        self.found = found
        self.channels = sum(task.inputs.values())
        self.size = None if space is None else tuple(space.input_size)
        self._said = False

    def checked(self, what: str, batch: Any, count: int) -> tuple[Tensor, Any]:
        """Return the batch's inputs and target; raise :class:`Stopped` where neither is usable."""
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise self.found.stop(f"{what}: expected inputs and a target, got {kind(batch)}")
        x, target = batch
        size = self.size or ("H", "W")
        dtype = torch.get_default_dtype()  # of networks that are built: float32 to most
        name = str(dtype).removeprefix("torch.")
        wanted = f"({count}, {self.channels}, {size[0]}, {size[1]}) {name}, of {count} indices"
        if not isinstance(x, Tensor) or x.dim() != 4:
            raise self.found.stop(f"{what}: expected inputs {wanted}; got {kind(x)}")
        right = (count, self.channels, *(self.size or x.shape[2:]))
        if tuple(x.shape) != right or x.dtype != dtype:
            self._once(f"{what}: expected inputs {wanted}; got {kind(x)}")
        if len(x) != count:
            raise Stopped
        if x.is_inference() and not torch.is_inference_mode_enabled():
            self._once(
                f"{what}: inputs are made in inference mode, of which nothing can learn; use "
                "torch.no_grad"
            )
        if x.dtype.is_floating_point and not is_finite(x):
            self._once(f"{what}: expected finite pixels, got {_odd(x)}")
        return x, target

    def _once(self, mistake: str) -> None:
        """Add the mistake, unless an earlier batch was as wrong."""
        if not self._said:
            self.found.add(mistake)
        self._said = True


def _odd(x: Tensor) -> str:
    return "NaN" if bool(x.isnan().any()) else "infinite ones"


def _batch(
    found: Findings, task: Task, what: str, indices: Tensor, generator: torch.Generator | None
) -> Any:
    batch = found.call(what, task.batch, indices.clone(), generator)
    return tuple(batch) if isinstance(batch, list) else batch  # as a DataLoader gives it


def _first(found: Findings, task: Task, indices: Tensor, total: int) -> Any:
    """Return the first batch; where the last sample is not there, blame the sources."""
    try:
        return _batch(Findings(), task, PLAIN, indices, None)
    except Stopped as stopped:
        try:
            task.batch(torch.tensor([0]), None)
            task.batch(torch.tensor([0, 0]), None)
        except Exception:
            pass  # not one sample is there: what was raised first says more
        else:
            try:
                task.batch(torch.tensor([total - 1]), None)
            except Exception as error:
                raise found.stop(
                    f"sources: names {total:,} samples, but batch has none at {total - 1:,} "
                    f"({type(error).__name__}); expected one name for every sample"
                ) from stopped.__cause__
    return _batch(found, task, PLAIN, indices, None)


def _check_repetition(
    found: Findings, task: Task, indices: Tensor, kept: Any, after: Tensor, reseed: Reseed
) -> bool:
    """Check and return whether nothing is random without a generator."""
    reseed(LOW)
    if not same(kept, _batch(found, task, PLAIN, indices, None)):
        found.add(
            f"{PLAIN}: the same indices give another batch each time; without a generator nothing "
            "must be random, and no batch must change the samples"
        )
        return False
    reseed(HIGH)
    if not same(kept, _batch(found, task, PLAIN, indices, None)):
        found.add(
            f"{PLAIN}: draws from a global random state; without a generator nothing must be random"
        )
        return False
    if torch.equal(after, torch.get_rng_state()):
        found.add(f"{PLAIN}: seeds torch's global random state, from which searches draw")
    return True


def _check_drawing(
    found: Findings, task: Task, indices: Tensor, form: _Form, reseed: Reseed
) -> Any:
    """Check that a batch follows from indices and generator state; return a target of one."""

    def draw(number: int, state: int) -> Any:
        reseed(state)
        batch = _batch(found, task, DRAWN, indices, torch.Generator().manual_seed(number))
        return copied(form.checked(DRAWN, batch, len(indices)), task)

    first: Any = None
    for number in range(_DRAWS):
        first = draw(number, LOW)
        if same(first, draw(number, HIGH)):
            continue
        if same(first, draw(number, LOW)):
            found.add(f"{DRAWN}: draws from a global random state; expected its generator alone")
        else:
            found.add(
                f"{DRAWN}: the same indices and generator state give another batch each time; all "
                "that is random must come from the generator"
            )
        break
    return first[1]


def _check_order(
    found: Findings, task: Task, indices: Tensor, *, x: Tensor, form: _Form
) -> tuple[Any, Any]:
    """Check that rows follow the indices, repeated ones too, whatever else is in the batch.

    Returns:
        Targets, for what is computed from them: of the last index first, and of the first alone.
    """
    reversed_batch = _batch(found, task, PLAIN, indices.flip(0), None)
    backward, reversed_target = form.checked(PLAIN, reversed_batch, len(indices))
    single = _batch(found, task, PLAIN, indices[:1], None)
    one, single_target = form.checked("batch of a single index", single, 1)
    if not close(backward.flip(0), x):
        found.add(f"{PLAIN}: expected the samples in the order of indices; it does not follow it")
    elif not close(one[0], x[0]):
        found.add(f"{PLAIN}: a sample's inputs change with the other indices")
    return reversed_target, single_target


def _check_count(found: Findings, task: Task, total: int) -> None:
    """Check that no sample lies behind the last source, unless every index has a sample.

    Made-up samples may end, too: those of ``np.random.seed(1000 * index)`` do at a seed of 2**32.
    """
    if _has(task, total) and not _has(task, 10 * total + 100_000):
        found.add(
            f"sources: names {total:,} samples, but batch has one at {total:,}, too; expected one "
            "name for every sample"
        )


def _has(task: Task, index: int) -> bool:
    try:
        task.batch(torch.tensor([index]), None)
    except Exception:
        return False
    return True
