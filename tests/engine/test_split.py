"""The split by source, and the streams of batches."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from groupnas.engine.split import Stream, split_by_source
from groupnas.errors import InputError

SOURCES = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60).filter(
    lambda sources: len(set(sources)) > 1
)
SHARES = st.floats(0.01, 0.99)


@given(SOURCES, SHARES, st.integers(0, 2**63 - 1))
def test_split_is_a_partition_by_source(sources: list[str], share: float, seed: int) -> None:
    split = split_by_source(sources, share, seed)
    train, validation = split.train.tolist(), split.validation.tolist()
    assert sorted(train + validation) == list(range(len(sources)))
    assert train and validation
    assert not {sources[i] for i in train} & {sources[i] for i in validation}
    assert split.train.dtype == split.validation.dtype == torch.int64


@given(SOURCES, SHARES, st.integers(0, 100))
def test_share_is_met_to_within_one_source(sources: list[str], share: float, seed: int) -> None:
    validation = split_by_source(sources, share, seed).validation.tolist()
    wanted = share * len(sources)
    held_out = {sources[i] for i in validation}
    largest = max(sources.count(source) for source in held_out)
    assert len(validation) - largest < wanted
    if len(held_out) < len(set(sources)) - 1:  # the last source always trains
        assert len(validation) >= wanted


def test_split_is_seeded_and_does_not_look_at_the_order_of_samples() -> None:
    sources = [f"source {i % 20}" for i in range(60)]
    first = split_by_source(sources, 0.3, 7).sources(sources)
    assert split_by_source(sources, 0.3, 7).sources(sources) == first
    assert split_by_source(sources[::-1], 0.3, 7).sources(sources[::-1]) == first
    assert split_by_source(sources, 0.3, 8).sources(sources) != first
    assert len(first["validation"]) == 6 and len(first["train"]) == 14
    assert first["train"] == sorted(first["train"])


@pytest.mark.parametrize("sources", [[], ["one"], ["one"] * 5])
def test_too_few_sources(sources: list[str]) -> None:
    with pytest.raises(InputError, match=r"[01] source\(s\); a split needs at least 2"):
        split_by_source(sources, 0.3, 0)


def stream(indices: list[int], batch_size: int, seed: int = 0) -> Stream:
    return Stream(torch.tensor(indices), batch_size, torch.Generator().manual_seed(seed))


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 99))
def test_every_pass_takes_every_sample_at_most_once(
    samples: int, batch_size: int, seed: int
) -> None:
    indices = [3 * i for i in range(samples)]
    batches = stream(indices, batch_size, seed)
    size, count = min(batch_size, samples), batches.batches_per_pass
    assert batches.batch_size == size and count == samples // size
    for _ in range(3):
        taken = [next(batches) for _ in range(count)]
        assert all(len(batch) == size for batch in taken)
        flat = torch.cat(taken).tolist()
        assert len(set(flat)) == len(flat) == count * size
        assert set(flat) <= set(indices)
        if samples % size == 0:
            assert sorted(flat) == indices


def test_passes_differ_and_leave_out_different_samples() -> None:
    batches = stream(list(range(10)), 4)
    passes = [torch.cat([next(batches), next(batches)]).tolist() for _ in range(8)]
    assert len({tuple(p) for p in passes}) == 8
    assert len({frozenset(p) for p in passes}) > 1


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 99))
def test_weights_change_neither_sizes_nor_number_of_batches(
    samples: int, batch_size: int, seed: int
) -> None:
    indices = torch.arange(samples) * 3
    weights = torch.arange(1.0, samples + 1)
    plain = stream(indices.tolist(), batch_size)
    batches = Stream(indices, batch_size, torch.Generator().manual_seed(seed), weights)
    assert batches.batches_per_pass == plain.batches_per_pass
    for _ in range(2 * batches.batches_per_pass + 1):
        batch = next(batches)
        assert len(batch) == batches.batch_size == plain.batch_size
        assert set(batch.tolist()) <= set(indices.tolist())


def test_weights_draw_in_proportion() -> None:
    weights = torch.tensor([0.0, 2.0, 1.0, 5.0])  # of 8
    batches = Stream(torch.tensor([7, 3, 9, 4]), 4, torch.Generator().manual_seed(0), weights)
    drawn = torch.cat([next(batches) for _ in range(2000)])
    for index, share in ((7, 0), (3, 2 / 8), (9, 1 / 8), (4, 5 / 8)):
        deviation = math.sqrt(share * (1 - share) / 8000)
        assert (drawn == index).double().mean().item() == pytest.approx(share, abs=4 * deviation)


@given(st.integers(0, 12), st.sampled_from([None, torch.arange(1.0, 11.0)]))
def test_state_goes_on_where_it_was_saved(drawn: int, weights: Tensor | None) -> None:
    generator = torch.Generator().manual_seed(5)
    batches = Stream(torch.arange(10), 3, generator, weights)
    for _ in range(drawn):
        next(batches)
    kept, kept_rng = batches.state_dict(), generator.get_state()
    expected = [next(batches).tolist() for _ in range(9)]

    other_generator = torch.Generator()
    other = Stream(torch.arange(10), 3, other_generator, weights)
    other.load_state_dict(kept)
    other_generator.set_state(kept_rng)
    assert [next(other).tolist() for _ in range(9)] == expected
