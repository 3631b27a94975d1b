"""What the problems have in common on which an implementation fails, or agrees."""

from collections.abc import Sequence

from samegrad.implementations.checking.report import Outcome

CHOICES = ("activation ", "loss ", "output activation ")


def only(failed: Sequence[Outcome], passed: Sequence[Outcome]) -> list[str]:
    """The properties that all failures have and no success has."""
    if not passed:
        return []
    shared = set.intersection(*map(_properties, failed))
    found = sorted(shared - {name for outcome in passed for name in _properties(outcome)})
    if not found:
        return []
    count = f"{len(failed)} of {len(failed) + len(passed)} problems"
    return [f"it fails only, and always, with: {', '.join(found)} ({count})"]


def alone(failed: Sequence[Outcome], passed: Sequence[Outcome], raises: bool = False) -> list[str]:
    """The one kind of network on which it always agrees, if it agrees on no other.

    It may be written for that alone and not say so. Where nothing is hidden an activation is none.

    Args:
        raises: whether it fails by exceptions, not by other numbers: then one loss is a kind, too.
    """
    deep = [o for o in passed if len(o.problem.spec.layer_sizes) > 2]
    if not deep:
        return []
    shared = set.intersection(*map(_kind, deep))
    activation = {name for name in shared if name.startswith("activation ")}
    if not (activation or raises) or not all(
        shared - (set() if len(o.problem.spec.layer_sizes) > 2 else activation) - _kind(o)
        for o in failed
    ):
        return []
    others = [_kind(o) for o in failed]
    telling = sorted(n for n in shared if not all(n in kind for kind in others))
    if not any(name.startswith(CHOICES) for name in telling):
        return []  # of decay or biases alone the mistake itself says more
    return [
        f"it agrees with {', '.join(telling)}, and with nothing else: if it is written for that, "
        "let it raise NotImplementedError for what the spec says besides"
    ]


def _kind(outcome: Outcome) -> set[str]:
    """What a spec asks for."""
    spec = outcome.problem.spec
    return {
        f"activation {spec.activation}",
        f"loss {spec.loss}",
        f"output activation {spec.output_activation}",
        "weight decay" if spec.weight_decay else "no weight decay",
        "biases" if spec.bias else "no biases",
    }


def _properties(outcome: Outcome) -> set[str]:
    """All that may matter."""
    problem, spec = outcome.problem, outcome.problem.spec
    return _kind(outcome) | {
        f"{spec.dtype}",
        "a batch of 1" if len(problem.X) == 1 else "a batch of more than 1",
        "hidden layers" if len(spec.layer_sizes) > 2 else "no hidden layer",
        "more than one hidden layer" if len(spec.layer_sizes) > 3 else "at most one hidden layer",
        "dropout" if problem.masks is not None else "no dropout",
        *({problem.name} if problem.name else ()),
    }
