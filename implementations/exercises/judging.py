"""Right, wrong or not written yet: what one function of a worksheet gave, against what is right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking import progress
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.exercises.answers import RIGHT
from samegrad.implementations.exercises.mistakes import MISTAKES
from samegrad.implementations.exercises.tasks import DERIVED, SMALL, Task

Array = Any
RIGHT_STATE, WRONG, UNWRITTEN = STATES = progress.RIGHT, progress.WRONG, progress.UNWRITTEN
# Of the largest entry. In float64 sums of some ten terms are off by 1e-14, in float32 by 1e-6; what
# somebody has forgotten shows in the first digits.
BOUND, SINGLE = 1e-9, 1e-5
SAME = 1e-7  # that a mistake gives the same
# Of slopes by differences: their own error is SMALL^2 and the loss's rounding over SMALL.
SLOPES = 1e-6
MISSING = "there is no"  # of a function that the file does not define
ADDS_UP = "gradients add up over calls: set them to zero in each"
RATIOS = {
    "L1": {1 / np.log(2): "the log is to base 2", 1 / np.log(10): "the log is to base 10"},
    "L2": {2.0: "its 1/2 is missing", 0.5: "there is a 1/2 too many"},
}
CHANGES = "it changes what it is given"
CUT = (
    "autograd cannot go back through it: detach(), item(), float(), NumPy, torch.tensor() or "
    "stop_gradient() cut it off"
)


@dataclass
class Result:
    """What is said of one equation.

    Attributes:
        equation, function: of the worksheet.
        state: one of STATES.
        said: why, in one line; "" where it is right.
        notes: of what is right: what to look at nevertheless.
    """

    equation: str
    function: str
    state: str
    said: str = ""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self)}


def judged(task: Task, given: Sequence[dict[str, Any]], empty: bool) -> Result:
    """The state of one part.

    Args:
        given: what the child sent of each call, `value` decoded, in the order of the calls.
        empty: whether the file's text says that there is nothing in it yet.
    """
    part = task.part
    result = Result(part.equation, part.function, WRONG)
    raised = next((each["raised"] for each in given if "raised" in each), None)
    values = [each["value"] for each in given if "value" in each]
    nothing = empty and (not values or values[0] is None)
    if nothing or (raised is not None and not values):
        return _without(result, raised, empty)
    if raised is not None and len(values) < task.judged:
        result.said = f"it {_raises(raised)} in call {len(values) + 1}"
        if named := _named_mistake(task, values):
            result.said = f"{named}; {result.said}"
        return result
    if len(values) < task.judged:
        result.said = "what it gave cannot be read"
        return result
    right = [RIGHT[part.equation](*task.arguments(n)) for n in range(task.judged)]
    states = [compared(value, answer) for value, answer in zip(values, right, strict=False)]
    changed = any(each.get("changed") for each in given)
    if not states[0][0] and changed:
        result.said = f"{CHANGES}: make a new array"
        return result
    if not any(said for said, _ in states):
        result.notes = list(dict.fromkeys(note for _, notes in states for note in notes))
        result.state = RIGHT_STATE
        result.notes += _overflow(task, given)
        result.notes += [CUT] * any(each.get("cut") for each in given)
        return result
    result.said = _why(task, values, right, states)
    if changed and result.said in [said for said, _ in states]:
        result.said += f"; {CHANGES}"
    return result


def _without(result: Result, raised: dict[str, Any] | None, empty: bool) -> Result:
    """Of a function that gave nothing at all."""
    if raised is None or empty:
        result.state = UNWRITTEN
    elif raised["kind"] == "MissingError":
        result.state, result.said = UNWRITTEN, f"{MISSING} {result.function} in the file"
    elif raised["kind"] == "NotImplementedError":
        result.state = UNWRITTEN
        own = result.function.rpartition(".")[2]
        if raised["function"] not in ("", own):
            result.said = f"it needs {raised['function']}"
    else:
        result.said = f"it {_raises(raised)}"
    return result


def _raises(raised: dict[str, Any]) -> str:
    if raised["kind"] == "FormError":
        return str(raised["text"]).removeprefix("it ")
    where = f" in line {raised['line']}" if raised["line"] else ""
    where += f" of {raised['cell']}" if raised["cell"] else ""
    text = f": {raised['text']}" if raised["text"] else ""
    return f"raises {raised['kind']}{where}{text}"


def compared(found: Any, right: Any) -> tuple[str, list[str]]:
    """Why a result is not what is right, or ""; and notes."""
    notes: list[str] = []
    said = ""
    for where, value, answer in leaves(found, right):
        if isinstance(value, str):
            return f"{where}{value}", []
        if value.shape != np.shape(answer):
            notes.append(f"{where}of shape {value.shape}, where {np.shape(answer)} is asked for")
            value = value.reshape(np.shape(answer))
        off = distance(value, answer)
        if off > SINGLE or not np.isfinite(off):
            by = f"off by {off:.2g} times the largest entry"
            said = said or where + (by if np.isfinite(value).all() else "nan or infinite")
        elif off > BOUND:
            notes.append("right to 6 digits: float32 somewhere, or a small number that is added")
    return said, notes


def leaves(found: Any, right: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Pairs of arrays; in the place of the first a text where there is none that fits."""
    if isinstance(right, tuple | list):
        if not isinstance(found, tuple | list) or len(found) != len(right):
            kind = f"{len(found)} parts" if isinstance(found, tuple | list) else _named(found)
            yield where, f"{kind} instead of {len(right)} parts", right
            return
        for number, (value, answer) in enumerate(zip(found, right, strict=True)):
            yield from leaves(value, answer, _place(where, number, right))
        return
    try:
        array = np.asarray(found, np.float64) if not _strange(found) else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        yield where, f"{_named(found)} instead of {_shape(right)}", right
    elif array.shape != np.shape(right) and (
        array.size != np.size(right) or _wide(array) != _wide(right)
    ):
        yield where, f"of shape {array.shape} instead of {np.shape(right)}", right
    else:
        yield where, array, right


def _wide(array: Array) -> list[int]:
    """The axes of more than one entry."""
    return [n for n in np.shape(array) if n > 1]


def _place(where: str, number: int, right: Any) -> str:
    """How a part of (loss, [(dW, db), ...]) is called."""
    if isinstance(right, tuple) and not isinstance(right[1], list):
        return f"d{'Wb'[number]}{where.removeprefix('layer ').rstrip(': ')}: "
    if isinstance(right, list):
        return f"layer {number + 1}: "
    return ("loss: ", "gradient: ")[number]


def _strange(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_strange(branch) for branch in value)
    return value is None or isinstance(value, Strange)


def _named(value: Any) -> str:
    if value is None:
        return "nothing is returned: None"
    if isinstance(value, Strange):
        return str(value.kind)
    if isinstance(value, tuple | list):
        return "lists that do not fit"
    return _shape(value) if isinstance(value, np.ndarray | float | int) else "something else"


def _shape(right: Any) -> str:
    return f"an array of shape {np.shape(right)}" if np.ndim(right) else "a number"


def distance(found: Array, right: Array) -> float:
    """The largest difference, of the largest entry; nan in the same places differs by nothing."""
    with np.errstate(all="ignore"):
        if (lost := np.isnan(right)).any() and np.array_equal(lost, np.isnan(found)):
            found, right = np.where(lost, 0.0, found), np.where(lost, 0.0, right)
        off = np.max(np.abs(found - right), initial=0.0)
        return float(off / max(np.max(np.abs(right), initial=0.0), 1e-300))


def near(found: Any, right: Any, bound: float = SAME) -> bool:
    """Whether all of it is the same, and of the same form."""
    return all(
        not isinstance(value, str) and distance(value.reshape(np.shape(answer)), answer) <= bound
        for _, value, answer in leaves(found, right)
    )


def _why(
    task: Task, values: Sequence[Any], right: Sequence[Any], states: Sequence[tuple[str, Any]]
) -> str:
    """What is wrong, as far as the numbers say it."""
    equation = task.part.equation
    if equation in DERIVED and (said := _other_form(values[0], right[0])):
        return said
    if not states[0][0]:
        return _kept(task, values, right)
    named = _named_mistake(task, values) or _times(task, values, right)
    if not named and equation in DERIVED and all(map(_has_loss, values, right)):
        of = [[both[1] for both in pair] for pair in (values[: task.judged], right)]
        return _times(task, *of).replace("it ", "the gradient ", 1) or states[0][0]
    for words, mistake in MISTAKES[equation] if not named else ():
        if (factor := _times(task, values, _made(mistake, task, len(values)))) in KNOWN:
            return f"{words}; {factor}"
    return named or next(said for said, _ in states if said)


def _named_mistake(task: Task, values: Sequence[Any]) -> str:
    """The words of a mistake that gives what was given in every call, or ""."""
    for words, mistake in MISTAKES[task.part.equation]:
        wrong = _made(mistake, task, len(values))
        if wrong and all(near(v, w) for v, w in zip(values, wrong, strict=False)):
            return words
    return ""


def _made(mistake: Callable[..., Any], task: Task, calls: int) -> list[Any]:
    """What a mistake gives in each of the first calls; none where it fails on their shapes."""
    try:
        with np.errstate(all="ignore"):
            return [mistake(*task.arguments(n)) for n in range(min(calls, task.judged))]
    except (ValueError, IndexError, TypeError):
        return []


def _other_form(found: Any, right: Any) -> str:
    """What is returned in the place of (loss, gradient), or ""."""
    loss, gradient = right
    if near(found, gradient):
        return "it returns the gradient without the loss: loss, gradient is asked for"
    if near(found, loss):
        return "it returns the loss without the gradient: loss, gradient is asked for"
    if near(found, (gradient, loss)):
        return "it returns gradient, loss: the loss comes first"
    return ""


def _has_loss(found: Any, right: Any) -> bool:
    """Whether the first of two parts is the loss."""
    return isinstance(found, tuple | list) and len(found) == 2 and near(found[0], right[0])


def _times(task: Task, values: Sequence[Any], answers: Sequence[Any]) -> str:
    """The constant factor of what was given to these answers, in words, or ""."""
    ratios = _ratio(values, answers) if answers else None
    return "" if ratios is None else _factor(ratios, task.part.equation, task)


def _kept(task: Task, values: Sequence[Any], right: Sequence[Any]) -> str:
    """Of a function that is right in its first call alone."""
    fits = not any(isinstance(found, str) for _, found, _ in leaves(values[1], right[1]))
    if (
        task.part.equation in DERIVED
        and fits
        and near(values[1][1], _sum(right[0][1], right[1][1]))
    ):
        return ADDS_UP
    if near(values[2], _doubled(right[2])) and task.part.equation[0] == "B":
        return ADDS_UP
    if near(values[1], right[0]):
        return "what it gives for other numbers is that of the numbers before: something is kept"
    return "the first call is right, the next one is not: something is kept"


def _doubled(answer: Any) -> Any:
    return 2 * answer if isinstance(answer, np.ndarray) else answer


def _sum(a: Any, b: Any) -> Any:
    return [tuple(x + y for x, y in zip(p, q, strict=True)) for p, q in zip(a, b, strict=True)]


def _ratio(values: Sequence[Any], right: Sequence[Any]) -> list[float] | None:
    """The constant factor of each call, if there is one."""
    ratios = []
    for value, answer in zip(values, right, strict=False):
        pairs = list(leaves(value, answer))
        if any(isinstance(found, str) for _, found, _ in pairs):
            return None
        found = np.concatenate([np.ravel(f) for _, f, _ in pairs])
        exact = np.concatenate([np.ravel(a) for _, _, a in pairs])
        if not np.isfinite(found).all() or not exact @ exact > 0:
            return None
        ratio = float(found @ exact / (exact @ exact))
        if distance(found, ratio * exact) > SAME * max(abs(ratio), 1e-3):
            return None
        ratios.append(ratio)
    return ratios


# Factors that are a mistake of their own, also beside another one.
KNOWN = (ZERO, SIGN, SUMMED, TWICE, SIGN_SUMMED, OUTPUTS) = (
    "it is zero",
    "it has the wrong sign",
    "it is summed over the examples, not divided by their number",
    "it is divided by the number of examples twice",
    "it has the wrong sign, and is not divided by the number of examples",
    "it is divided by the number of outputs, too",
)


def _factor(ratios: list[float], equation: str, task: Task) -> str:
    """A constant factor in words; "" where the calls have different ones that mean nothing."""
    arrays = [
        next((a for a in task.arguments(n) if isinstance(a, np.ndarray) and a.ndim == 2), None)
        for n in range(task.judged)
    ]
    sizes = np.array([1.0 if a is None else len(a) for a in arrays])
    words: list[tuple[str, Array]] = [
        (ZERO, 0 * sizes),
        (SIGN, -np.ones_like(sizes)),
        (SUMMED, sizes),
        (TWICE, 1 / sizes),
        (SIGN_SUMMED, -sizes),
    ]
    if equation in ("L1", "B1"):
        outputs = np.array([1.0 if a is None else a.shape[1] for a in arrays])
        words.append((OUTPUTS, 1 / outputs))
    found = np.array(ratios)
    for text, expected in words:
        if np.any(expected != 1) and np.allclose(found, expected, rtol=SAME, atol=SAME):
            return text
    if not np.allclose(found, found[0], rtol=SAME):
        return ""
    known = (text for c, text in RATIOS.get(equation, {}).items() if abs(found[0] / c - 1) < SAME)
    return next(known, f"it is {found[0]:.6g} times what is right")


def _overflow(task: Task, given: Sequence[dict[str, Any]]) -> list[str]:
    """A note where huge logits give no number."""
    if len(task.calls) == task.judged or task.part.equation in DERIVED:
        return []
    last: dict[str, Any] = given[task.judged] if len(given) > task.judged else {}
    answer = RIGHT[task.part.equation](*task.arguments(task.judged))
    pairs = leaves(last.get("value"), answer)
    if all(not isinstance(value, str) and np.isfinite(value).all() for _, value, _ in pairs):
        return []
    return ["no finite number where an output is 1000: z - max(z) before exp, and no log of a 0"]


def derives(task: Task, given: Sequence[dict[str, Any]]) -> bool:
    """Whether the gradient of a whole network is that of its own loss, by differences."""
    values = [each["value"] for each in given if "value" in each]
    if len(values) < len(task.calls):
        return False
    try:
        losses = [float(np.asarray(value[0]).reshape(())) for value in values]
        grads = values[0][1]
    except (TypeError, ValueError, IndexError):
        return False
    slopes = []
    for direction in task.directions:
        pairs = list(leaves(grads, direction))
        if any(isinstance(found, str) for _, found, _ in pairs):
            return False
        slopes.append(sum(float(np.sum(found * along)) for _, found, along in pairs))
    quotients = [
        (losses[n] - losses[n + 1]) / (2 * SMALL) for n in range(task.judged, len(losses), 2)
    ]
    size = max(map(abs, quotients))
    return all(abs(a - b) <= SLOPES * size for a, b in zip(slopes, quotients, strict=True))
