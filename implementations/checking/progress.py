"""How far somebody's work is: which functions are right, wrong, or not written yet."""

from collections.abc import Sequence

from samegrad.implementations.checking.report import Outcome

RIGHT, WRONG, UNWRITTEN = "right", "wrong", "not written yet"
# what is shown -> the function, and how the names of its tensors begin
PARTS = {
    "forward": ("forward", ("outputs",)),
    "loss": ("loss", ("loss",)),
    "gradient": ("loss_and_grad", ("d",)),
}
NOTHING = "returned NoneType"  # of a body that is `pass`


def so_far(outcomes: Sequence[Outcome], lacks: Sequence[str]) -> str:
    """The state of each part where the gradient is not written yet and something else is, or ""."""
    if any(outcome.shows_gradient for outcome in outcomes):  # a step shows it, too
        return ""
    states = {part: _state(part, outcomes, lacks) for part in PARTS}
    if states["gradient"] != UNWRITTEN or set(states.values()) == {UNWRITTEN}:
        return ""
    return ", ".join(f"{part} {state}" for part, state in states.items())


def _state(part: str, outcomes: Sequence[Outcome], lacks: Sequence[str]) -> str:
    function, names = PARTS[part]
    tensors = [
        tensor
        for outcome in outcomes
        for tensor in outcome.comparison.tensors
        if tensor.name.startswith(names) and " step" not in tensor.name
    ]
    if part == "loss":
        tensors = [tensor for tensor in tensors if tensor.name == "loss"]
    if function in lacks:
        return UNWRITTEN
    if tensors:
        return WRONG if any(tensor.disagrees for tensor in tensors) else RIGHT
    failed = [text for o in outcomes for text in o.failures if text.startswith(f"{function}: ")]
    return WRONG if any(NOTHING not in text for text in failed) else UNWRITTEN
