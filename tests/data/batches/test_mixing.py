"""Which images meet, their soft labels, and which examples change."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batches.mixing import enclosing, partners, soft_labels, with_probability
from tests.drawn_batches import CLASSES, assert_identical, random_batch

compiled = jax.jit(partners, static_argnums=2)


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 99), st.integers(1, 3))
def test_partners_are_a_cycle_through_the_examples_without_padding(mask: list[bool], seed: int, count: int) -> None:
    result = np.asarray(compiled(jax.random.key(seed), np.array(mask), count))
    real = np.flatnonzero(mask)
    for i, row in enumerate(result):
        assert set(row) <= (set(real) if mask[i] else {i})
        if mask[i] and len(real) > count:
            assert len({i, *row}) == count + 1
    for column in result[real].T:
        assert sorted(column) == list(real)
    np.testing.assert_array_equal(result[:, 1:], result[result[:, 0]][:, : count - 1])  # one cycle: the second is the next of the next
    place, seen = (real[0], set()) if len(real) else (0, set())
    while place not in seen:
        seen.add(place)
        place = result[place, 0]
    assert len(seen) == max(len(real), 1)


def test_other_keys_give_other_cycles() -> None:
    first = [tuple(np.asarray(compiled(jax.random.key(seed), np.ones(5, bool), 1))[:, 0]) for seed in range(200)]
    assert len(set(first)) == 24  # all cycles through five


def test_soft_labels_are_one_hot_or_those_of_the_batch() -> None:
    batch = random_batch(0)
    np.testing.assert_array_equal(soft_labels(batch, CLASSES), np.eye(CLASSES)[batch.label_b])
    given_bxk = np.random.default_rng(0).dirichlet(np.ones(CLASSES), len(batch.label_b)).astype(np.float32)
    np.testing.assert_array_equal(soft_labels(batch._replace(soft_label_bxk=given_bxk), CLASSES), given_bxk)


def test_examples_change_with_a_probability_and_padding_never() -> None:
    batch, changed = random_batch(0, valid=90, size=100), random_batch(1, valid=90, size=100)
    for probability, few, many in ((0.0, 0, 0), (0.5, 25, 65), (1.0, 90, 90)):
        result = with_probability(jax.random.key(3), probability, changed, batch)
        moved = (np.asarray(result.images_bxhxwxc) != batch.images_bxhxwxc).any(axis=(1, 2, 3))
        assert few <= moved.sum() <= many
        assert not moved[~batch.example_mask_b].any()
        for name, array in result._asdict().items():
            if array is not None:
                chosen = np.where(moved.reshape(-1, *[1] * (array.ndim - 1)), getattr(changed, name), getattr(batch, name))
                np.testing.assert_array_equal(array, chosen, err_msg=name)
    soft = with_probability(jax.random.key(3), 0.0, changed._replace(soft_label_bxk=soft_labels(changed, CLASSES)), batch, CLASSES)
    np.testing.assert_array_equal(soft.soft_label_bxk, np.eye(CLASSES)[batch.label_b])
    assert_identical(soft, batch)


def test_an_example_that_is_its_own_partner_does_not_change() -> None:
    batch, changed, partner_b = random_batch(0, valid=4, size=5), random_batch(1, valid=4, size=5), np.array([1, 0, 2, 2, 4])
    result = with_probability(jax.random.key(0), 1.0, changed, batch, partner_b=partner_b)
    moved = (np.asarray(result.images_bxhxwxc) != batch.images_bxhxwxc).any(axis=(1, 2, 3))
    assert moved.tolist() == [True, True, False, True, False]


def test_the_enclosing_box_contains_both() -> None:
    np.testing.assert_array_equal(
        enclosing(np.array([0.1, 0.5, 0.4, 0.6]), np.array([0.2, 0.3, 0.3, 0.9])), np.float32([0.1, 0.3, 0.4, 0.9])
    )
