"""What a call returned, looked at without its own help."""

from collections import namedtuple

import numpy as np
import pytest

from samegrad.benchmarks.worker import arrays

Pair = namedtuple("Pair", "W b")
W, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, 8, 9], np.float32)


class Derived(np.ndarray):
    """It may do anything when it is asked."""


class Late:
    """Something like an array."""

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("somebody asked it")


def objects():
    """An array of such."""
    array = np.empty(1, object)
    array[0] = Late()
    return array


@pytest.mark.parametrize(
    "tree",
    [(1.5, [(W, B)]), [1.5, [[W, B]]], {"loss": 1.5, "grads": [Pair(W, B)]}, (1.5, (W, None, B))],
)
def test_leaves_are_found_in_any_nesting(tree):
    """In their order; what is None is none."""
    loss, first, second = arrays.leaves(tree)

    assert 1.5 == loss and first is W and second is B


def test_list_of_numbers_is_one_leaf():
    """As looped Python has them."""
    (leaf,) = arrays.leaves([[1.0, 2.0]])

    np.testing.assert_array_equal([1.0, 2.0], leaf)


@pytest.mark.parametrize(
    ("leaf", "known"),
    [
        (W, True),
        (2.5, True),
        (np.float32(2), True),
        (W.view(Derived), False),
        (Late(), False),
        (objects(), False),
        ((W, Late()), False),
    ],
)
def test_only_types_of_frameworks_are_known(leaf, known):
    """One that is derived from them is another; an array of objects may compute, too."""
    assert known is arrays.known([leaf])


def test_what_is_unknown_is_not_read():
    """It would help itself."""
    (found,) = arrays.numbers([Late(), B, W.view(Derived), objects()])

    np.testing.assert_array_equal(B, found)


def test_copies_are_new_arrays_in_the_same_places():
    """Of frameworks' own types; what is of another type stays, and is asked nothing."""
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    late = Late()
    tree = [1.5, (W, {"t": torch.tensor(B, requires_grad=True)}), jnp.asarray(B), late]

    copied = arrays.copies(tree)

    assert 1.5 == copied[0] and late is copied[3]
    assert arrays.unchanged(arrays.numbers(tree), arrays.numbers(copied))
    for old, new in zip(arrays.leaves(tree[1:3]), arrays.leaves(copied[1:3]), strict=True):
        assert type(old) is type(new) and old is not new
    copied[1][0][0, 0] = 9
    assert 0 == W[0, 0]


def test_numbers_are_copies_and_samples_are_some_of_them():
    """The last one always is."""
    vector = np.arange(100.0)
    (whole,), (some,) = arrays.numbers(vector), arrays.seen(vector)
    vector[:] = 0

    assert 99 == whole[-1] == some[-1]
    assert arrays.SAMPLED <= len(some) < 40


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100, 4095])
def test_samples_are_taken_on_the_device_of_a_framework(length):
    """torch takes no negative steps."""
    torch = pytest.importorskip("torch")
    vector = np.arange(length)

    some = arrays._some(torch.from_numpy(vector), arrays.SAMPLED)

    np.testing.assert_array_equal(arrays._some(vector, arrays.SAMPLED), some.numpy())
    assert vector[-1:].tolist() == some[-1:].tolist()


def test_change_is_seen_in_a_sample_and_nan_is_nan():
    """In the last number, or everywhere."""
    before = np.full(50, np.nan)
    early = arrays.seen(before)
    after = before.copy()
    after[-1] = 1

    assert arrays.agree(early, arrays.numbers(before))
    assert not arrays.agree(early, arrays.numbers(after))
    assert not arrays.agree(early, [])


def test_unchanged_is_every_number_in_its_place():
    """Neither fewer nor others."""
    assert arrays.unchanged([W, B], [W.copy(), B])
    assert not arrays.unchanged([W, B], [W])
    assert not arrays.unchanged([W], [W[::-1]])


def test_same_numbers_are_found_in_any_order_and_layout():
    """Of what is converted, rows may have become columns."""
    turned = [B, np.asfortranarray(W.T)]

    assert arrays.same_numbers([W, B], turned)
    assert arrays.same_numbers([np.array([0.0])], [np.array([-0.0])])
    for other in ([W], [W, B + 1e-6], [W, B, B], [W[:, ::-1] + 1, B]):
        assert not arrays.same_numbers([W, B], other)


def test_sums_do_not_hide_a_change():
    """One number more, and another less by as much."""
    moved = B + np.array([2, -2, 0], np.float32)

    assert not arrays.same_numbers([B], [moved])


def test_places_are_those_of_memory():
    """Of a view that begins where its array does; numbers have none."""
    assert list(arrays.places(W)) == list(arrays.places({"a": (W.T, 1.0, None)}))
    assert list(arrays.places(W)) != list(arrays.places(W.copy()))


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_arrays_of_frameworks_are_read(name):
    """Whether they know of a graph or not."""
    framework = pytest.importorskip(name)
    made = framework.ones((2, 3)) if name == "torch" else framework.numpy.ones((2, 3))
    if name == "torch":
        made.requires_grad_()

    assert arrays.known([made])
    np.testing.assert_array_equal(np.ones(6), arrays.numbers(made)[0].ravel())
    assert 1 == len({*arrays.places(made), *arrays.places([made])})
