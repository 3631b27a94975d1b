"""What must come out of networks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import ANSWERS, PASSED, Draw, parts, weights
from samegrad.benchmarks.cases.workload import PRODUCTS, MLPWorkload, Workload
from samegrad.benchmarks.judge.blocks import judge_call, judge_steps
from samegrad.benchmarks.judge.chains import Batch
from samegrad.benchmarks.judge.gates import judge_first, judge_products
from samegrad.benchmarks.judge.inputs import draw_and_expect
from samegrad.benchmarks.judge.kind import Kind, Message, our_files, wrong
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import Comparison
from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.protocol import declared
from samegrad.implementations.contract.spec import Tree

KEPT = 3  # workloads whose batches are kept in float64
ASKED = 3  # requests of which the answer is judged; nobody knows beforehand which
LOSS, UPDATED = "loss of the step", "updated"


class Networks(Kind):
    """Networks with their batches."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._inputs = lru_cache(KEPT)(self._load)
        self._expected = lru_cache(KEPT)(self._first_expected)

    @staticmethod
    def prepare(workload: MLPWorkload, seed: int) -> tuple[inputs.Inputs, Mapping[str, Tree]]:
        """See `draw_and_expect`."""
        drawn, right = draw_and_expect(workload, seed)
        return drawn, vars(right)

    def block(self, block: Message, results: Mapping[str, Any]) -> Comparison:
        """What came out of a block."""
        case = Case.from_dict(block["case"])
        workload, about, calls = case.workload, block["about"], block["calls"]
        assert isinstance(workload, MLPWorkload)
        given, batches, rest = self._inputs(workload)
        seed, of_process = block["seeds"]
        draw = Draw(seed, of_process, given.scale, int(about["block"]))
        accuracy = declared(about["accuracy"])
        convention = about.get("convention")
        own = None if convention is None else Convention.from_dict(convention)
        spec = workload.spec
        if case.operation in ("forward", "loss_and_grad"):
            count, precision = weights(given.params, calls, len(batches)), case.precision
            number, batch = draw.pairs(calls, len(batches), count)[int(about["number"])]
            X, y = batches[batch]
            params = draw.params(given.params, number)
            block_itself = {name: tree for name, tree in results.items() if name != ANSWERS}
            verdict = judge_call(spec, params, X, y, block_itself, accuracy, precision, own)
            asked, answers = block.get("requests", 0), results.get(ANSWERS, ())
            if asked and len(answers) != asked:
                return wrong(f"it shows other answers than those of {asked} requests")
            first = replace(draw, block=0)
            params, (X, y) = first.params(given.params), given.batches(workload.batch_size)[0]
            for i in np.random.default_rng().integers(0, asked, ASKED) if asked else ():
                if verdict.agrees:
                    new, outputs = first.request(X, int(i)), {"outputs": answers[i]}
                    verdict = judge_call(spec, params, new, y, outputs, accuracy, precision, own)
            return verdict
        each = 1
        if case.operation == "train_step":
            order = [batches[b] for b in draw.batches(calls, len(batches))]
        else:
            whole = workload.examples // workload.batch_size
            epoch = [*(batches[i % len(batches)] for i in range(whole)), *rest]
            each, order = len(epoch), [epoch[b] for b in draw.epoch(whole, bool(rest))] * calls
        lengths = parts(spec, workload.batch_size, each, calls)
        passed = list(results.get(PASSED, ()))
        if len(passed) != len(lengths) - 1:
            return wrong(f"it shows {len(passed)} of {len(lengths) - 1} params on its way")
        standard, checks = comparison.bound(spec.dtype), list[comparison.TensorCheck]()
        shown = [draw.params(given.params), *passed, results[UPDATED]]
        for (before, after), length, end in zip(
            pairwise(shown), lengths, accumulate(lengths), strict=True
        ):
            checks += judge_steps(
                spec,
                before,
                order[end - length : end],
                draw.learning_rate,
                after,
                results.get(LOSS) if end == len(order) else None,
                inaccuracy=max(1.0, comparison.bound(spec.dtype, accuracy) / standard),
                precision=case.precision,
                convention=own,
            )
            if any(check.reason for check in checks):  # what follows began with what is wrong
                break
        return Comparison(tuple(checks))

    def first(self, call: Message, results: Any) -> Comparison:
        """What came out of a first call."""
        workload = Workload.from_dict(call["workload"])
        assert isinstance(workload, MLPWorkload)
        about, precision = call["about"], call["precision"]
        if call["operation"] == PRODUCTS:
            return judge_products(workload, results[PRODUCTS], precision)
        (given, batches, _), accuracy = self._inputs(workload), declared(about["accuracy"])
        params, (X, y) = given.params, batches[0]
        if about.get("convention") is None:
            right = self._expected(workload)
        else:
            own = Convention.from_dict(about["convention"])
            right = own.expected(Problem("", workload.spec, params, X, y), given.rate)
        return judge_first(
            workload.spec, params, right, results, accuracy, precision, call["thorough"]
        )

    def _first_expected(self, workload: MLPWorkload) -> Expected:
        with our_files():
            return Expected(**inputs.load_expected(self.directory, workload))

    def _load(self, workload: MLPWorkload) -> tuple[inputs.Inputs, list[Batch], list[Batch]]:
        """Inputs, batches in float64, and those with which an epoch ends, likewise."""
        with our_files():
            given = inputs.load(self.directory, workload)
        whole = workload.examples // workload.batch_size
        last = given.epoch(workload)[whole:] if workload.examples % workload.batch_size else []
        return given, _wide(given.batches(workload.batch_size)), _wide(last)


def _wide(batches: list[Batch]) -> list[Batch]:
    return [(np.asarray(X, np.float64), y) for X, y in batches]
