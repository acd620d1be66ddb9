"""Layouts: where channels are, by hand, and that every layout has room for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.deploy.layout import Layout, fixed_layouts, free_layouts, partitions

Sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(tuple)


def test_places_by_hand() -> None:
    layout = Layout((3, 5, 2, 4), ((0, 2), (1,), (3,)), 6)
    assert layout.channels == 18
    assert layout.order == (0, 2, 1, 3)
    assert layout.places == (slice(0, 3), slice(6, 11), slice(3, 5), slice(12, 16))
    assert layout.slots == (3, 3, 6, 6)  # the first bucket's last channel is padding
    assert [layout.bucket_start(group) for group in range(4)] == [0, 6, 0, 12]


@given(sizes=Sizes, block=st.sampled_from([0, 8, 16]))
def test_every_layout_holds_every_channel_once(sizes: tuple[int, ...], block: int) -> None:
    for layout in free_layouts(sizes, partitions(sizes), block):
        taken = [c for place in layout.places for c in range(place.start, place.stop)]
        assert len(set(taken)) == len(taken) == sum(sizes) <= layout.channels
        assert sum(layout.slots) == layout.channels > max(taken)
        assert layout.channels % 4 == 0 or not block
        for bucket in layout.buckets:
            start = layout.bucket_start(bucket[0])
            for group in bucket:
                place = layout.places[group]
                assert start <= place.start < place.stop <= start + layout.width
        # A slot begins where its group's channels do
        begins = [sum(layout.slots[:i]) for i in range(len(sizes))]
        assert begins == [layout.places[group].start for group in layout.order]


def test_units_in_whole_blocks_and_as_narrow_as_can_be() -> None:
    found = free_layouts((6, 7, 6, 5), [((0,), (1,), (2,), (3,)), ((0, 1, 2, 3),)], 16)
    assert {(len(layout.buckets), layout.width) for layout in found} == {(4, 7), (4, 16), (1, 24)}


@given(sizes=Sizes)
def test_a_fixed_unit_stays_as_it_is(sizes: tuple[int, ...]) -> None:
    edges = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    found = fixed_layouts(sizes)
    assert any(len(layout.buckets) == 1 for layout in found)
    for layout in found:
        assert layout.channels == sum(sizes)
        assert [(place.start, place.stop) for place in layout.places] == list(
            zip(edges, edges[1:], strict=False)
        )


def test_equal_groups_of_a_fixed_unit_may_be_buckets() -> None:
    assert [len(layout.buckets) for layout in fixed_layouts((1, 1, 1, 1))] == [1, 2, 4]
    assert [layout.buckets for layout in fixed_layouts((2, 1, 1))] == [
        ((0, 1, 2),),
        ((0,), (1, 2)),
    ]


@pytest.mark.parametrize(("groups", "count"), [(1, 1), (2, 2), (3, 5), (4, 15)])
def test_few_groups_are_put_together_in_every_way(groups: int, count: int) -> None:
    found = partitions([1.0] * groups)
    assert len(found) == len(set(found)) == count  # Bell's numbers
    for buckets in found:
        assert sorted(group for bucket in buckets for group in bucket) == list(range(groups))


def test_many_groups_are_balanced() -> None:
    found = {len(buckets): buckets for buckets in partitions([8, 1, 1, 2, 2, 2])}
    assert {1, 2, 3, 4, 6} <= found.keys()
    assert found[2] == ((0,), (1, 2, 3, 4, 5))
    assert len(partitions([1.0] * 68)) == 12
