"""Which outputs are meant where a loss and a backward pass call them by one name, as logits."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import parameters
from samegrad.implementations.reading.trials import Trial


def with_first(trial: Trial, out: str) -> Trial:
    """A trial in which a backward pass is given the outputs that the loss is given.

    Args:
        out: the key of these, "" for none.
    """
    if out and trial.outs[0] != out and one_name(trial.network.functions):
        trial.outs = [out, *(key for key in trial.outs if key != out)]
    return trial


def one_name(functions: Mapping[str, Callable[..., Any]]) -> bool:
    """Whether a loss and a backward pass call outputs by the same name."""
    losses = [n for n in functions if names.LOSS.fullmatch(n) and not names.DERIVED.search(n)]
    passes = [n for n in functions if names.BACKWARD.match(n) and n not in losses]
    own, others = (
        {word for n in found for word in _outputs(functions[n])} for found in (losses, passes)
    )
    return bool(own & others)


def _outputs(function: Callable[..., Any]) -> Iterator[str]:
    try:
        given = parameters(function)
    except (TypeError, ValueError):
        return
    yield from (p.name for p in given if names.role(p.name) == "out")
