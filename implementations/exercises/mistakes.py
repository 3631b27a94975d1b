"""What each equation gives with each mistake that people make, for the judge of worksheets."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.exercises.answers import (
    RIGHT,
    Answer,
    Array,
    adadelta,
    adagrad,
    adam,
    chain_rule,
    chosen,
    examples,
    hidden_delta,
    loss,
    loss_and_grad,
    momentum,
    onehot,
    operation,
    output_delta,
    penalty,
    sigmoid,
    softmax,
    weight_gradient,
)

AGAIN = "what was kept is thrown away: each step is as if it were the first"
DIVIDED = "divided by the number of examples"
ALL_ENTRIES = "softmax goes over all entries at once, not over each example"
AS_ONEHOT = "y is taken for onehot(y): it is the class"
SET = "a grad is set where it must be added to: a Value may be used twice"
Mistake = tuple[str, Answer]


def rows(array: Array) -> Array:
    """It, where it has an example in each row.

    Raises:
        ValueError: it is one example.
    """
    if np.ndim(array) < 2:
        raise ValueError("one example")
    return array


def of_rows(equation: str) -> list[Mistake]:
    """What goes wrong where a result is built row by row."""
    right = RIGHT[equation]
    return [
        ("all rows are the last one: [[0.0] * m] * n has one row n times",
         lambda *x: np.repeat(rows(right(*x))[-1:], len(right(*x)), axis=0)),
        ("only the first example is in it: it returns inside the loop",
         lambda *x: rows(right(*x))[:1]),
    ]  # fmt: skip


def of_all(z: Array) -> Array:
    """Softmax of all entries of a matrix."""
    return softmax(np.ravel(rows(z))).reshape(z.shape)


def as_row(y: Array) -> Array:
    """Labels as if they were the rows of onehot(y)."""
    return np.reshape(y, (-1, 1)) if np.ndim(y) else y


def binary(z: Array, y: Array, of: Answer) -> Array:
    """Binary cross entropy, summed over the classes."""
    right = np.where(onehot(z, y) == 1, of(z), 1 - of(z))
    return -np.sum(np.log(right)) / examples(z)


def by_inputs(params: Any, X: Array, y: Array) -> Array:
    """dloss/dX of a network of two layers."""
    (W, b), (V, c) = params
    a = np.tanh(X @ W + b)
    return hidden_delta(output_delta(a @ V + c, y), V, a) @ W.T


def by_number(nodes: Sequence[Any]) -> list[int]:
    """The last node first."""
    return [*range(len(nodes))][::-1]


def by_depth(nodes: Sequence[Any], step: int = 1) -> list[int]:
    """Each node after all that it goes into, found by recursion."""
    order: list[int] = []

    def visit(node: int) -> None:
        if node not in order:
            for parent in nodes[node][1][::step]:
                visit(int(parent))
            order.append(node)

    visit(len(nodes) - 1)
    return order[::-1]


def by_depth_reversed(nodes: Sequence[Any]) -> list[int]:
    """The same, parents in the other order."""
    return by_depth(nodes, -1)


def by_breadth(nodes: Sequence[Any]) -> list[int]:
    """The nearest to the last node first, which is not after all that they go into."""
    order = [len(nodes) - 1]
    for node in order:
        order += [int(parent) for parent in dict.fromkeys(nodes[node][1]) if parent not in order]
    return order


def passed_at_once(nodes: Sequence[Any], added: bool, zeroed: bool = False) -> Array:
    """The same by recursion: what comes to a node is passed on before all of it has come."""
    grads, rows = np.zeros(len(nodes)), []

    def visit(node: int) -> None:
        _, parents, slopes = nodes[node]
        for parent, slope in zip(parents, slopes, strict=True):
            grads[parent] = (grads[parent] if added else 0) + slope * grads[node]
            visit(parent)

    for _ in range(2):
        grads[:] = 0.0 if zeroed else grads
        grads[-1] = 1.0
        visit(len(nodes) - 1)
        rows.append(grads.copy())
    return np.stack(rows)


OF_ADAM: list[Mistake] = [
    (AGAIN, partial(adam, keep="")),
    (AGAIN, partial(adam, keep="", counted=False)),
    ("m is not kept from step to step", partial(adam, keep="v")),
    ("v is not kept from step to step", partial(adam, keep="m")),
    ("m and v are not corrected for their start at zero", partial(adam, corrected=False)),
    ("t is 1 in every step", partial(adam, counted=False)),
    ("t is one too many: it is 1 in the first step", partial(adam, ahead=1)),
    ("dp is not squared in v", partial(adam, squared=False)),
    ("m and v are returned in each other's place", partial(adam, swapped=True)),
]
# equation -> (what somebody did, what comes of it), the plainest first. Constant factors are told
# by the judge.
MISTAKES: dict[str, list[tuple[str, Answer]]] = {
    "F1": [
        ("the bias is left out", lambda a, W, b: a @ W),
        ("W is transposed", lambda a, W, b: a @ W.T + b),
        ("tanh is taken here already (F2)", lambda a, W, b: np.tanh(a @ W + b)),
        ("softmax is taken here; the loss takes it too", lambda a, W, b: softmax(a @ W + b)),
        *of_rows("F1"),
    ],
    "F2": [
        ("it is the sigmoid", sigmoid),
        ("it is relu", lambda z: np.maximum(z, 0)),
        ("it is the derivative of tanh", lambda z: 1 - np.tanh(z) ** 2),
        ("it is z itself", lambda z: z),
        *of_rows("F2"),
    ],
    "L1": [
        ("softmax is taken twice", lambda z, y: loss(softmax(z), y)),
        ("the labels are off by one", lambda z, y: loss(z, (y - 1) % z.shape[-1])),
        ("softmax goes over the wrong axis",
         lambda z, y: -np.mean(np.log(chosen(softmax(z, 0), y)))),
        ("the log is left out", lambda z, y: -np.mean(chosen(softmax(z), y))),
        ("softmax is left out", lambda z, y: -np.mean(np.log(chosen(z, y)))),
        ("log of softmax is left out", lambda z, y: -np.mean(chosen(z, y))),
        ("it is summed over all classes, whatever y is",
         lambda z, y: -np.sum(np.log(softmax(z))) / examples(z)),
        (ALL_ENTRIES, lambda z, y: -np.mean(np.log(chosen(of_all(z), y)))),
        ("each example is taken with the labels of all; p[range(len(y)), y] has its own",
         lambda z, y: -np.mean(np.log(softmax(rows(z))[:, y]))),
        ("p[y] takes whole rows; p[range(len(y)), y] has of each example its class",
         lambda z, y: -np.mean(np.log(softmax(rows(z))[y]))),
        (AS_ONEHOT, lambda z, y: -np.sum(as_row(y) * np.log(softmax(z))) / examples(z)),
        ("it is squared error", lambda z, y: np.sum((z - onehot(z, y)) ** 2) / examples(z)),
        ("it is squared error, of softmax",
         lambda z, y: np.sum((softmax(z) - onehot(z, y)) ** 2) / examples(z)),
        *((f"it is binary cross entropy of {name}, each class by itself", partial(binary, of=of))
          for name, of in (("softmax", softmax), ("the sigmoid", sigmoid))),
        ("only the last example is in it", lambda z, y: loss(rows(z)[-1:], y[-1:])),
        ("only the first example is in it", lambda z, y: loss(rows(z)[:1], y[:1])),
    ],
    "L2": [
        ("biases are in it, too",
         lambda params, c: penalty([(p, 0) for pair in params for p in pair], c)),
        *(("weights are not squared", lambda params, c, of=of: (
            c / 2 * sum(np.sum(of(W)) for W, _ in params))) for of in (np.asarray, np.abs)),
        ("norms are not squared",
         lambda params, c: c / 2 * sum(np.sqrt(np.sum(W * W)) for W, _ in params)),
        ("it is the root of the sum", lambda params, c: c / 2 * np.sqrt(penalty(params, 2.0))),
        ("only the last layer is in it", lambda params, c: penalty(params[-1:], c)),
        ("only the first layer is in it", lambda params, c: penalty(params[:1], c)),
    ],
    "B1": [
        ("onehot(y) is not subtracted", lambda z, y: softmax(z) / examples(z)),
        ("onehot(y) is not subtracted, and it is not " + DIVIDED, lambda z, y: softmax(z)),
        ("softmax is left out", lambda z, y: (z - onehot(z, y)) / examples(z)),
        ("the labels are off by one", lambda z, y: output_delta(z, (y - 1) % z.shape[-1])),
        ("softmax goes over the wrong axis",
         lambda z, y: (softmax(z, 0) - onehot(z, y)) / examples(z)),
        ("softmax is taken twice", lambda z, y: output_delta(softmax(z), y)),
        ("times p (1 - p), which the loss has already",
         lambda z, y: output_delta(z, y) * softmax(z) * (1 - softmax(z))),
        (ALL_ENTRIES, lambda z, y: (of_all(z) - onehot(z, y)) / examples(z)),
        ("1 is subtracted in every column; p[range(len(y)), y] is the class of each example",
         lambda z, y: (softmax(z) - 1) / examples(z)),
        ("1 is subtracted in whole rows; p[range(len(y)), y] is the class of each example",
         lambda z, y: (softmax(z) - np.isin(np.arange(len(rows(z))), y)[:, None]) / examples(z)),
        (AS_ONEHOT, lambda z, y: (softmax(z) - as_row(y)) / examples(z)),
        *of_rows("B1"),
    ],
    "B2": [
        ("weight decay is left out", lambda a, delta, *_: weight_gradient(a, delta)),
        ("weight decay is twice as strong",
         lambda a, delta, W, c: weight_gradient(a, delta, W, 2 * c)),
        ("weight decay is " + DIVIDED,
         lambda a, delta, W, c: weight_gradient(a, delta, W, c / len(a))),
        ("it is " + DIVIDED + " again: delta has that already",
         lambda a, delta, W, c: weight_gradient(a, delta) / len(a) + c * W),
        *(("it is transposed: it must have the shape of W",
           lambda a, delta, W=0.0, c=0.0, of=of: weight_gradient(a, delta).T + of(c * W))
          for of in (np.transpose, np.asarray)),
        of_rows("B2")[0],
        *((f"only the {name} example is in it{without}",
           lambda a, delta, W, c, n=n, kept=kept: np.outer(a[n], delta[n]) + kept * c * W)
          for name, n in (("last", -1), ("first", 0))
          for without, kept in (("", 1.0), (", and no weight decay", 0.0))),
    ],
    "B3": [
        ("it is summed over the units instead of the examples", lambda delta: delta.sum(axis=1)),
        ("it is summed over everything", np.sum),
        ("nothing is summed", lambda delta: delta),
        ("it is the mean: delta is " + DIVIDED + " already", lambda delta: delta.mean(axis=0)),
        ("only the last example is in it", lambda delta: rows(delta)[-1]),
        ("only the first example is in it", lambda delta: rows(delta)[0]),
    ],
    "B4": [
        ("the derivative of tanh is left out", lambda delta, W, a: delta @ W.T),
        ("tanh is taken of a once more: a is tanh(z) already",
         lambda delta, W, a: (delta @ W.T) * (1 - np.tanh(a) ** 2)),
        ("the derivative is that of the sigmoid, a (1 - a)",
         lambda delta, W, a: (delta @ W.T) * a * (1 - a)),
        ("the derivative is that of relu", lambda delta, W, a: (delta @ W.T) * (a > 0)),
        ("a is not squared", lambda delta, W, a: (delta @ W.T) * (1 - a)),
        ("it is a, not its derivative", lambda delta, W, a: (delta @ W.T) * a),
        ("W is not transposed", lambda delta, W, a: (delta @ W) * (1 - a * a)),
        *of_rows("B4"),
    ],
    "U1": [
        ("the step goes up: the gradient is added", lambda p, dp, rate: p + rate * dp),
        ("the learning rate is left out", lambda p, dp, rate: p - dp),
        ("it is the step alone, without p", lambda p, dp, rate: -rate * dp),
        ("nothing is changed", lambda p, dp, rate: p),
    ],
    "U2": [
        (AGAIN, partial(momentum, keep=False)),
        ("dp is taken times 1 - MOMENTUM", partial(momentum, damped=True)),
        ("p moves by the old v", partial(momentum, late=True)),
        ("it is U3", partial(momentum, nesterov=True)),
    ],
    "U3": [
        (AGAIN, partial(momentum, nesterov=True, keep=False)),
        ("it is U2", momentum),
    ],
    "U4": [
        (AGAIN, partial(adagrad, keep=False)),
        ("the root is left out", partial(adagrad, root=False)),
        ("dp is not squared in s", partial(adagrad, squared=False)),
    ],
    "U5": [
        (AGAIN, partial(adadelta, keep="")),
        ("s is not kept from step to step", partial(adadelta, keep="e")),
        ("e is not kept from step to step", partial(adadelta, keep="s")),
        ("e is updated before it is used", partial(adadelta, late=True)),
        ("s and e are returned in each other's place", partial(adadelta, swapped=True)),
    ],
    "U6": OF_ADAM,
    "U7": [
        ("decay is left out", lambda p, dps, rate, decay: adam(p, dps, rate)),
        ("decay is in the gradient: that is L2, not U7", partial(adam, in_gradient=True)),
        ("decay is not taken times the learning rate", partial(adam, of_rate=False)),
        *OF_ADAM,
    ],
    "D1": [],
    "D2": [
        ("each slope is the number itself, not the other one",
         operation(lambda a, b: a * b, lambda a, b: a, lambda a, b: b)),
    ],
    "D3": [
        ("the slope lacks its square",
         operation(np.tanh, lambda a: 1 - np.tanh(a))),
        ("the slope is taken of tanh once more",
         operation(np.tanh, lambda a: 1 - np.tanh(np.tanh(a)) ** 2)),
        ("the slope is taken of self.data, not of its tanh",
         operation(np.tanh, lambda a: 1 - a * a)),
    ],
    "D4": [
        ("the slope is that of a power", operation(np.exp, lambda a: a * np.exp(a - 1))),
        ("the slope is the number, not its exp", operation(np.exp, lambda a: a)),
    ],
    "D5": [
        ("the slope is the log", operation(np.log, np.log)),
        ("the slope is the number, not 1 over it", operation(np.log, lambda a: a)),
    ],
    "D6": [
        ("grads add up over calls: start from zero in each",
         lambda nodes: chain_rule(nodes, zeroed=False)),
        *((SET, lambda nodes, order=order: chain_rule(nodes, added=False, order=order(nodes)))
          for order in (by_number, by_depth, by_depth_reversed)),
        ("a Value passes on before it has got all: order the Values first, and add up",
         lambda nodes: passed_at_once(nodes, added=False)),
        *(("a Value passes on before it has got all: order the Values first",
           partial(passed_at_once, added=True, zeroed=zeroed)) for zeroed in (False, True)),
        ("a Value passes on before it has got all: how far it is from the end is no order",
         lambda nodes: chain_rule(nodes, order=by_breadth(nodes))),
    ],
    "B1-B4": [
        ("weight decay is left out", lambda params, X, y, c: loss_and_grad(params, X, y)),
        ("weight decay is in the loss and not in the gradient",
         lambda *x: (loss_and_grad(*x)[0], loss_and_grad(*x[:3])[1])),
        ("only weight decay is in the gradient: the rest is cut off from the weights",
         lambda *x: (loss_and_grad(*x)[0], [(x[3] * W, 0 * b) for W, b in x[0]])),
        ("the gradient is that by X, not by the weights",
         lambda *x: (loss_and_grad(*x)[0], by_inputs(*x[:3]))),
    ],
    "net": [],
}  # fmt: skip
