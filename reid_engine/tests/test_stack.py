"""A stack of blocks is read like the array its blocks would make."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_engine.stack import Stack, stacked

sizes = st.lists(st.integers(0, 5), max_size=6)
bounds = st.none() | st.integers(-20, 20)


def blocks(counts: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(len(counts))
    return [rng.normal(size=(count, 3)).astype(np.float16) for count in counts]


def whole(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty((0, 3), np.float16), *parts])


@given(counts=sizes, start=bounds, stop=bounds, data=st.data())
@settings(max_examples=200, deadline=None)
def test_slices_and_rows_by_number_equal_the_joined_array(
    counts: list[int], start: int | None, stop: int | None, data: st.DataObject
) -> None:
    parts = blocks(counts)
    stack, expected = Stack(parts, 3), whole(parts)
    assert stack.shape == expected.shape and len(list(stack)) == len(expected)
    np.testing.assert_array_equal(np.array(stack[start:stop]), expected[start:stop])
    np.testing.assert_array_equal(np.array(stack[start:stop], dtype=np.float32), expected[start:stop])
    rows = np.array(data.draw(st.lists(st.integers(0, len(expected) - 1)) if len(expected) else st.just([])), np.int64)
    np.testing.assert_array_equal(stack[rows], expected[rows])
    np.testing.assert_array_equal(np.array(stacked([stack, stack[1:]], 3)), whole([expected, expected[1:]]))


def test_a_slice_is_a_view_and_an_array_of_it_a_copy() -> None:
    rows = np.zeros((10, 3), np.float16)
    taken = Stack([rows[:6], rows[6:]], 3)[2:8]
    assert all(np.shares_memory(block, rows) for block in taken.blocks)
    copy = np.array(Stack([rows], 3)[2:4])
    copy += 1
    assert not rows.any()
