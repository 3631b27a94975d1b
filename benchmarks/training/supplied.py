"""What a file lacks for a training: a step, made from its own gradient, and a forward pass.

A file that has only `loss_and_grad` trains by any rule; one with a backend of its own has its
arrays fetched for the update.
"""

from typing import Any

from samegrad.implementations.checking import reference
from samegrad.implementations.contract.adapter import Implementation, as_numpy
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree
from samegrad.implementations.contract.supplied import FACT, copies, supply_step


def complete(implementation: Implementation) -> list[str]:
    """Give an implementation what it lacks; lines that say so.

    Raises:
        NotImplementedError: it has no gradient to make a step of.
    """
    step = supply_step(implementation)
    said = [f"{FACT} {step}"] if step else []
    if "forward" in implementation.lacks:
        implementation.forward = _forward
        said.append("it has no forward: outputs are those of samegrad's reference")
    implementation.lacks = tuple(name for name in implementation.lacks if name == "loss")
    return said


def _forward(spec: MLPSpec, params: Params, X: Any, masks: Tree = None) -> Any:
    return reference.outputs(spec, copies(params), as_numpy(X), masks).astype(spec.dtype)
