"""Hints as functions of what is there when they are called, and what became of them."""

from collections.abc import Callable
from typing import Any

from samegrad.implementations.checking.objects.report import NOT_CHECKED, CheckReport
from samegrad.implementations.reading.attempts import Attempts
from samegrad.implementations.reading.board import Board
from samegrad.implementations.reading.effects import number
from samegrad.implementations.reading.hints import NO_HINT, Hints, failed
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.trials import Wishes


def wishes_of(hints: Hints, loaded: Loaded) -> Wishes:
    """What hints pin, as functions of what is there when they are called."""
    attempts = Attempts()

    def of(name: str) -> Callable[[Board, Any], Any] | None:
        if not (text := getattr(hints, name)):
            return None
        code = compile(text, "hint", "eval")

        def value(board: Board, trial: Any) -> Any:
            local = {k.lstrip("@"): v for k, v in board.values.items()}
            if trial.outs:
                local["out"] = trial.out(trial.outs[0])
            space = {**loaded.namespace, **local}
            return attempts.hinted(name, lambda: _given(name, eval(code, space)))

        return value

    def alone(name: str, word: str = "") -> Callable[[], Any] | None:
        if not getattr(hints, name) or word:
            return None
        value = evaluated(hints, name, loaded)
        return lambda: value

    return Wishes(
        of("loss"),
        of("backward"),
        hints.x_form,
        hints.y_form,
        alone("X", hints.x_form),
        alone("y", hints.y_form),
        float(evaluated(hints, "rate", loaded)) if hints.rate else None,
        attempts,
    )


def _given(name: str, value: Any) -> Any:
    """What a hint gave.

    Raises:
        TypeError: a loss that is no number.
    """
    if name == "loss":
        number(value)
    return value


def evaluated(hints: Hints, name: str, loaded: Loaded) -> Any:
    """What the expression of a hint gives by itself.

    Raises:
        FailedError: it raises.
    """
    text = getattr(hints, name)
    try:
        return eval(compile(text, "hint", "eval"), dict(loaded.namespace))  # the user's own hint
    except (Exception, SystemExit) as error:
        raise failed(name, text, error, loaded.namespace) from error


def without_effect(hints: Hints, wishes: Wishes, loaded: Loaded) -> CheckReport | None:
    """What is said of a hint that raised whenever it was evaluated, or None."""
    for name, error in wishes.attempts.hints.items():
        if error is not None:
            known = [*loaded.namespace, "net", "X", "y", "data", "out"]
            said = str(failed(name, getattr(hints, name), error, known))
            return CheckReport(NOT_CHECKED, said=said, advice=(NO_HINT,))
    return None
