"""Gradients that a loss leaves beside it, of a batch: one example may hide what is wrong in it."""

import re

from samegrad.implementations.reading.checked import source_of
from samegrad.implementations.reading.found import compared_with
from samegrad.implementations.reading.readings import BATCHED, Reading


class Batches:
    """The first reading of a batch of each loss of the file's own that leaves all gradients."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], Reading] = {}

    def meet(self, reading: Reading) -> None:
        """Keep a reading for `instead`, whether anything is right in it or not."""
        if reading.key[:1] not in self._of and _left_by_loss(reading):
            self._of[reading.key[:1]] = reading

    def instead(self, reading: Reading) -> Reading:
        """That of a batch in place of one of an example alone."""
        return reading if reading.batched else self._of.get(reading.key[:1], reading)


def _left_by_loss(reading: Reading) -> bool:
    """Whether the file's own loss takes a batch, and leaves something for every gradient."""
    functions = reading.trial.network.functions if reading.trial is not None else {}
    loss = functions.get(reading.loss_name)
    written = getattr(getattr(loss, "__code__", None), "co_names", ())
    if loss is None or not (reading.own and reading.batched and BATCHED.search(source_of(loss))):
        return False
    compared = compared_with(reading)
    roots = [re.match(r"net\.(\w+)", match.source) for match in compared.judged] if compared else []
    return bool(roots) and all(root is not None and root[1] in written for root in roots)
