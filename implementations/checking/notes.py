"""Conventions that a right gradient may keep and ours does not: each has a code and is named.

A note is no fault. Codes are stable, so that a check in CI can be strict and still allow one.
"""

from dataclasses import dataclass

# code: what it says, for documents and `samegrad verify --help`
CODES = {
    "epsilon-in-log": "the loss takes the log of a probability plus a small number",
    "clip": "probabilities are clipped before their log",
    "kink": "g'(0) of relu or leaky_relu is not 0: 1/2 and 1 are conventions, too",
    "float64-only": "float32 goes in and float64 comes out",
    "summed": "sums over the batch, not means: loss and gradient, or a script's gradient alone",
    "factor": "loss and gradient have the same constant factor",
    "decay-over-batch": "weight decay is divided by the batch size, in loss and gradient",
    "exact-gelu": "gelu is the exact one, with erf, instead of the approximation with tanh",
    "probabilities": "forward gives softmax, log-softmax or sigmoid of outputs; the rest is right",
    "softmax-twice": "the loss takes the softmax of what is one already",
    "no-log-softmax": "torch's nll_loss takes outputs that are no logs of probabilities",
    "one-number": "the loss is an array of shape (1,)",
    "no-gradient": "something changes the loss, and no gradient of it was found",
    "not-updated": "a weight or a bias changes the loss, and no step of the file changes it",
    "rate": "an update is a constant times the gradient that is no rate that was found",
    "decay-in-update": "an update takes off a share of the parameter too, as the loss does not",
    "scaled-gradient": "a gradient is kept times a constant, and the update makes up for it",
    "seeded": "random numbers are drawn anew in every call; seeds were set before each",
    "moved": "the point has a kink or slopes of 0; the gradient was judged at one nearby",
    "few-digits": "the loss has the digits of float32 or fewer, and was judged by them",
    "data-changed": "data is changed in place, in ways that change no result",
}


@dataclass(frozen=True)
class Note:
    """A convention that was found.

    Attributes:
        code: one of CODES.
        text: what it is here, in a sentence.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.code}]"
