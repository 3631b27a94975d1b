"""What hints give outright: with a loss and a backward pass as expressions nothing is guessed.

Expressions are of the file's names and of net, X, y and data. What a name of the file's stands for
and was not run when the file was loaded, such as the data of a notebook, is run when it is needed.
"""

import ast
import builtins
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.checking.objects.report import NOT_CHECKED, CheckReport
from samegrad.implementations.reading import names, twice
from samegrad.implementations.reading.hinted_factor import made_up_for
from samegrad.implementations.reading.hinted_points import at_other_weights, cuts_off
from samegrad.implementations.reading.hints import NO_HINT, FailedError, Hints, failed
from samegrad.implementations.reading.loading import Loaded, execute

MOST_NAMES = 20  # of the file, that calls turn out to need
GIVEN = ("data", "X", "y", "net")  # the order in which they are made: each may name those before
SEED = 0  # of what expressions draw


def outright(
    hints: Hints, loaded: Loaded, exact: bool = False, seed: int = 0
) -> CheckReport | None:
    """The verdict on what hints say; None if something that they name has still to be found."""
    if hints != Hints():
        loaded.namespace.setdefault("np", np)  # hints of lists may draw arrays
    if not (hints.loss and hints.backward):
        return None
    file = _File(loaded)
    used = set().union(*(free(getattr(hints, n)) for n in ("loss", "backward", "net", "data")))
    for name in (*GIVEN, "out"):
        text = getattr(hints, name, "")
        word = name in ("X", "y") and bool(getattr(hints, f"{name.lower()}_form"))
        made = hints.X if name == "data" else hints.data if name in ("X", "y") else ""
        if name in used and (word or not (text or made or file.has(name))):
            return None
    try:
        return _checked(hints, file, used, exact, seed)
    except FailedError as error:
        return CheckReport(NOT_CHECKED, said=str(error), advice=(NO_HINT,))


def _checked(hints: Hints, file: "_File", used: set[str], exact: bool, seed: int) -> CheckReport:
    np.random.seed(SEED)  # the generator that expressions draw from
    made = _Made(hints, file, used)
    file.supplied(made.loss)
    rate = file.value("rate", hints.rate, made.given) if hints.rate else None
    try:
        of_update = None if rate is None else float(rate)

        def checked(of: _Made, by: float = 1.0, exact: bool = False) -> CheckReport:
            loss = of.loss if by == 1 else lambda *a: by * of.loss(*a)
            return check(of.net, loss, of.backward, of.data, rate=of_update, exact=exact)

        first = checked(made, exact=exact)
        held = (made.net, made.data)
        report = made_up_for(
            first, held, made.backward, file.loaded, lambda by: checked(made, by)
        )  # fmt: skip
        if "(" in hints.net and not cuts_off(block.source for block in file.loaded.blocks):
            by = 1.0 if report is first else first.constant or 1.0
            report = at_other_weights(
                report, lambda: checked(_Made(hints, file, used), by), seed
            )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise FailedError(f"{type(error).__name__}: {error}") from None
    texts = [f"{n} = {getattr(hints, n)}" for n in ("net", "loss", "backward")]
    how = "; ".join(text for text in texts if not text.endswith("= "))
    notes = (*report.notes, *twice.of_call(made.loss))
    remarks = (*report.remarks, *made.remarks)
    return replace(report, reading=f"hinted: {how}", notes=notes, remarks=remarks)


class _Made:
    """What hints give, made anew.

    Raises:
        FailedError: something that is needed cannot be evaluated.
    """

    def __init__(self, hints: Hints, file: "_File", used: set[str]) -> None:
        self.given, self.remarks = _given(hints, file, used)
        self.loss = file.function("loss", hints.loss, self.given)
        self.backward = file.function("backward", hints.backward, self.given)
        self.net = self.given.get("net")
        data = tuple(self.given[n] for n in ("X", "y") if n in self.given)
        if hints.data:
            held = self.given["data"]
            data = tuple(held) if isinstance(held, list | tuple) else (held,)
        self.data = data or file.data(used)


def _given(hints: Hints, file: "_File", used: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Values of what is hinted, by name, and remarks on what is not needed and failed.

    Raises:
        FailedError: one that is needed cannot be evaluated.
    """
    given: dict[str, Any] = {}
    remarks = []
    for name in GIVEN:
        text = getattr(hints, name)
        word = name in ("X", "y") and getattr(hints, f"{name.lower()}_form")
        if not text and hints.data and name in ("X", "y"):
            text = f"data[{int(name == 'y')}]"  # in that order, as everywhere
        if not text or word:
            continue
        try:
            given[name] = file.value(name, text, given)
        except FailedError as error:
            if name in used or name == "net":
                raise
            if getattr(hints, name):
                remarks.append(f"{error}; it was not needed")
    if not hints.data and ("X" in given or "y" in given):
        given["data"] = tuple(given[n] for n in ("X", "y") if n in given)
    return given, remarks


class _File:
    """The names of a file, as hints see them."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded, self.namespace = loaded, loaded.namespace
        self._folder = loaded.path.parent
        self._assigned: dict[str, list[tuple[ast.stmt, str]]] = {}
        for block in loaded.blocks:
            for statement in flat(block.tree.body):
                for name in _stored(statement):
                    self._assigned.setdefault(name, []).append((statement, block.filename))

    def has(self, name: str) -> bool:
        """Whether the file says what a name is."""
        return name in self.namespace or name in self._assigned

    def value(self, name: str, text: str, given: dict[str, Any]) -> Any:
        """What an expression gives.

        Raises:
            FailedError: it raises.
        """
        try:
            return self.supplied(self.function(name, text, given), f"hint {name} = {text}")
        except FailedError as error:
            if error.__cause__ is None:
                raise
            known = {*self.namespace, *self._assigned, *given}
            raise failed(name, text, error.__cause__, known) from error.__cause__

    def function(self, name: str, text: str, given: dict[str, Any]) -> Callable[[], Any]:
        """An expression as a function without arguments, which closes over what is given."""
        for needed in free(text) - set(given):
            self._supply(needed, f"hint {name} = {text}", set())
        arguments = ", ".join(given)
        source = f"lambda {arguments}: lambda: (\n{text}\n)"
        code = compile(source, str(self._folder / f"<hint {name}>"), "eval")
        made: Callable[[], Any] = eval(code, self.namespace)(**given)  # the user's own hint
        made.__name__ = name
        return made

    def supplied(self, function: Callable[[], Any], said: str = "") -> Any:
        """What a function gives; names that were not run are run when they are missing.

        Raises:
            FailedError: it raises, if there is something to be said then.
        """
        for _ in range(MOST_NAMES):
            try:
                return function()
            except NameError as error:
                if error.name in self._assigned and error.name not in self.namespace:
                    self._supply(error.name, said, set())
                    continue
                raised: BaseException = error
            except (Exception, SystemExit) as error:
                raised = error
            break
        if said:
            raise FailedError(f"{said}: {type(raised).__name__}: {raised}") from raised
        return None

    def _supply(self, name: str, said: str, seen: set[str]) -> None:
        if name in self.namespace or name in seen or hasattr(builtins, name):
            return
        seen.add(name)
        for statement, filename in self._assigned.get(name, ()):
            for needed in _loaded(statement):
                self._supply(needed, said, seen)
            try:
                execute([statement], filename, self.namespace)
            except (Exception, SystemExit) as error:
                where = f"line {statement.lineno} raises {type(error).__name__}: {error}"
                raise FailedError(f"{said or name}: {where}") from None

    def data(self, used: set[str]) -> tuple[Any, ...]:
        """The file's own arrays whose names say inputs or targets, among names that are used."""
        found = sorted((names.role(name), name) for name in used if name in self.namespace)
        values = [self.namespace[name] for role, name in found if role in ("X", "y")]
        return tuple(v for v in values if isinstance(v, list) or hasattr(v, "shape"))


def free(text: str) -> set[str]:
    """The names that an expression takes from outside; of "" none."""
    if not text:
        return set()
    nodes = list(ast.walk(ast.parse(text, mode="eval")))
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    return {n.id for n in nodes if isinstance(n, ast.Name)} - bound


def flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, with those of `if __name__ == "__main__"` among them."""
    for statement in body:
        if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
            yield from flat(statement.body)
        else:
            yield statement


def _stored(statement: ast.stmt) -> set[str]:
    """The names that an assignment makes."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return set()
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = (node for target in targets for node in ast.walk(target))
    return {n.id for n in nodes if isinstance(n, ast.Name)}


def _loaded(statement: ast.stmt) -> set[str]:
    nodes = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
    return {n.id for n in nodes if isinstance(n.ctx, ast.Load)}
