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
    "summed": "loss and gradient are sums over the batch instead of means",
    "factor": "loss and gradient have the same constant factor",
    "decay-over-batch": "weight decay is divided by the batch size, in loss and gradient",
    "exact-gelu": "gelu is the exact one, with erf, instead of the approximation with tanh",
    "one-number": "the loss is an array of shape (1,)",
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
