"""Verdicts on first calls: what is timed must first agree with the reference.

That spares the time of what is wrong. The proof is what the timed blocks give (`judge.blocks`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.products import factors
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import PRECISIONS, Comparison, TensorCheck
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

Array = Any


def judge_first(
    spec: MLPSpec,
    params: Params,
    expected: Expected,
    results: Mapping[str, Tree],
    accuracy: Mapping[str, float] | None,
    precision: str,
    thorough: bool,
) -> Comparison:
    """Compare the results of a first call with what they must be.

    Args:
        params: that were given.
        results, accuracy: as of `comparison.judge`.
        precision: "ieee", "tf32" or "bfloat16".
        thorough: whether it is also found out in how many digits it computes.
    """
    bounds = bounds_of(spec.dtype, precision)
    tree = next((key for key in ("grads", "updated") if key in results), None)
    if tree is None:
        return comparison.judge(spec, expected, results, accuracy, bounds)
    reference = getattr(expected, tree)
    before = params if tree == "updated" else map_tree(np.zeros_like, expected.grads)
    if precision != "ieee":  # what fewer digits changed `before` into, in the norm
        others = {key: result for key, result in results.items() if key != tree}
        exact = comparison.judge(spec, expected, others, accuracy, bounds)
        name = "d{}" if tree == "grads" else "{} after a step"
        norms = comparison.in_norm(reference, results[tree], before, spec.dtype, precision, name)
        return Comparison(exact.tensors + norms.tensors)
    verdict = comparison.judge(spec, expected, results, accuracy, bounds)
    if not thorough or not verdict.agrees:
        return verdict
    share = comparison.in_more_digits(reference, results[tree], before)
    if share is None:
        return verdict
    reason = f"computed in more digits than {spec.dtype}: {100 * share:.0f} % of its "
    reason += "entries are correctly rounded"
    fault = TensorCheck(tree, None, comparison.bound(spec.dtype), reason)
    return Comparison((*verdict.tensors, fault))


def judge_products(workload: MLPWorkload, results: Sequence[Array], precision: str) -> Comparison:
    """Compare the products of a step with NumPy's of the rounded factors in float64."""
    kinds, pairs = factors(workload.products("train_step"))
    dtype, checks = workload.dtype, tuple[TensorCheck, ...]()
    if not isinstance(results, list | tuple) or len(results) != len(kinds):
        return Comparison(())
    for kind, (A, B), C in zip(kinds, pairs, results, strict=True):
        A, B = (M.astype(dtype).astype(np.float64) for M in (A, B))
        expected = (A.T if kind == "tn" else A) @ (B.T if kind == "nt" else B)
        name = f"product {kind} of {A.shape} and {B.shape}"
        bounds = bounds_of(dtype, precision)
        checks += comparison.compare(
            expected, np.asarray(C), dtype, name=name, accuracy=bounds
        ).tensors
    return Comparison(checks)


def bounds_of(dtype: str, precision: str) -> Mapping[str, float] | None:
    """Other bounds than the standard ones, where products are in fewer digits."""
    return None if precision == "ieee" else {dtype: PRECISIONS[precision]}
