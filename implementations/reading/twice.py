"""Outputs that are softmax or its log, and losses that take the softmax of what is one already.

The gradient of a loss with two may be right, and the network learns badly.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.reading import losses
from samegrad.implementations.reading.loading import Loaded, imported_torch
from samegrad.implementations.reading.readings import Reading

Array = Any
CODE = "softmax-twice"
NO_LOGS = "no-log-softmax"
LOGS = Note("probabilities", "forward gives log_softmax of the outputs")
SAME = 1e-9  # relative, of a loss in float64
# torch's losses that take logits
OF_LOGITS = re.compile(r"\bCrossEntropyLoss\(|\bF\.cross_entropy\(|functional\.cross_entropy\(")


def of_trial(reading: Reading) -> Sequence[Note]:
    """Of a file's own loss: it is the cross entropy of the softmax of probabilities."""
    trial = reading.trial
    if trial is None or not reading.own:
        return ()
    try:
        trial.forward()
        value, targets = reading.loss(), np.asarray(trial.board.values["#Y"])
        found = [np.asarray(trial.out(key)) for key in trial.outs]
    except (Exception, SystemExit):
        return ()
    for out in found:
        if out.shape == targets.shape and are_logs(out):
            return (LOGS,)
        if out.shape == targets.shape and are_probabilities(out):
            taken = losses.value("cross entropy of softmax", out, targets)
            for c in (1.0, 1 / reading.examples, 1 / targets.size):
                if abs(value - c * taken) <= SAME * abs(value):
                    return (Note(CODE, "the loss takes the softmax of outputs that are one"),)
    return ()


def of_module(out: Array, loaded: Loaded) -> Sequence[Note]:
    """Of a module of torch: a file with a loss of logits, or outputs that are logs."""
    source = "".join(block.source for block in loaded.blocks)
    if are_probabilities(out) and OF_LOGITS.search(source):
        return (Note(CODE, "forward gives softmax, and torch's cross entropy takes it again"),)
    return (LOGS,) if are_logs(out) else ()


def of_call(loss: Callable[[], Any]) -> Sequence[Note]:
    """Of a loss that can be called: torch's cross entropy is given probabilities, or nll_loss none.

    The smallest value of nll_loss is minus infinity where its input are outputs as they are.
    """
    torch = imported_torch()
    if torch is None:
        return ()
    cross_entropy, nll_loss = torch.nn.functional.cross_entropy, torch.nn.functional.nll_loss
    seen: list[Array] = []
    logs: list[Array] = []

    class Watched(torch.overrides.TorchFunctionMode):  # type: ignore[misc,name-defined] # torch's
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function in (cross_entropy, nll_loss):
                into = seen if function is cross_entropy else logs
                into.append(args[0] if args else kwargs["input"])
            return function(*args, **(kwargs or {}))

    try:
        with Watched():
            loss()
    except (Exception, SystemExit):
        return ()
    if any(are_probabilities(out.detach().cpu().numpy()) for out in seen):
        return (Note(CODE, "torch's cross entropy takes the softmax of probabilities"),)
    sums = [np.exp(out.detach().cpu().numpy()).sum(axis=1) for out in logs if out.ndim == 2]
    if any(not np.allclose(each, 1, rtol=1e-3) for each in sums):
        return (Note(NO_LOGS, "nll_loss takes outputs that are no log_softmax: it has no minimum"),)
    return ()


def are_probabilities(out: Array) -> bool:
    """Whether examples, in rows or columns, have several positive numbers that sum to 1."""
    if out.ndim != 2 or min(out.shape) < 2 or out.dtype.kind != "f" or not (out > 0).all():
        return False
    return any(np.allclose(out.sum(axis=axis), 1, rtol=1e-5) for axis in (0, 1))


def are_logs(out: Array) -> bool:
    """Whether they are the logs of such."""
    return out.ndim == 2 and out.dtype.kind == "f" and bool((out < 0).all()) and (
        are_probabilities(np.exp(out))
    )  # fmt: skip
