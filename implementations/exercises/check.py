"""`samegrad exercise check`: a worksheet is run in a child process and judged here."""

import ast
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.messages import decode, encode
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.sources import unwritten
from samegrad.implementations.contract.texts import UNPARSABLE, clean, legible, unparsable
from samegrad.implementations.exercises import sheets
from samegrad.implementations.exercises.judging import (
    CUT,
    RIGHT_STATE,
    UNWRITTEN,
    WRONG,
    Result,
    derives,
    judged,
)
from samegrad.implementations.exercises.sheets import NET, Part, Sheet
from samegrad.implementations.exercises.tasks import DERIVED, STATE, Task, tasks
from samegrad.implementations.reading.files import IMPORT_SECONDS, ONE_THREAD, RUNNING_SECONDS
from samegrad.implementations.reading.source import Block, blocks

SUFFIXES = (".py", ".ipynb")
SECONDS = 60.0  # of one call, as of `verify`: a gradient in JAX compiles for 10 s where others run
COUNTED = ("U6", "U7")  # rules that are given the number of the step


@dataclass
class Report:
    """What is said of one file.

    Attributes:
        name: of the file, as it was given.
        sheet: its worksheet, or None where it says none.
        results: one for each part of it.
        fault: why nothing of it could be run, or "".
        remarks: what was left out when it was loaded, and what else is to be looked at.
        broken: cells of a notebook that are no Python, each with its reason.
    """

    name: str
    sheet: Sheet | None
    results: list[Result] = field(default_factory=list)
    fault: str = ""
    remarks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def score(self) -> int:
        """How many equations are right."""
        return sum(r.state == RIGHT_STATE for r in self.results if r.equation != NET)

    @property
    def most(self) -> int:
        """How many there are."""
        return 0 if self.sheet is None else len(self.sheet.scored)

    @property
    def summary(self) -> str:
        """A state for each group of equations, such as "forward right, loss not written yet"."""
        states: dict[str, list[str]] = {}
        for result in self.results:
            if group := Part(result.equation, result.function).group:
                states.setdefault(group, []).append(result.state)
        return ", ".join(f"{group} {_joined(found)}" for group, found in states.items())

    @property
    def wrong(self) -> bool:
        """Whether anything of it is, or it cannot be run, or a cell of it."""
        faults = bool(self.fault or self.broken)
        return faults or any(r.state == WRONG for r in self.results)

    @property
    def done(self) -> bool:
        """Whether all of it is right."""
        return not (self.fault or self.broken) and bool(self.results) and all(
            r.state == RIGHT_STATE for r in self.results
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "file": self.name,
            "exercise": None if self.sheet is None else self.sheet.name,
            "score": self.score,
            "of": self.most,
            "summary": self.summary,
            "fault": self.fault,
            "remarks": self.remarks,
            "broken": self.broken,
            "equations": [result.to_dict() for result in self.results],
        }


def _joined(states: Sequence[str]) -> str:
    if WRONG in states:
        return WRONG
    return states[0] if len(set(states)) == 1 else "right as far as it is written"


def files(place: Path) -> list[Path]:
    """The file, or all files of Python and notebooks below a folder.

    Raises:
        ValueError: it is neither, or there are none.
    """
    if place.is_file() and place.suffix.lower() in SUFFIXES:
        return [place]
    if not place.is_dir():
        raise ValueError(f"{place}: no file of Python, no notebook, no folder")
    found = [path for path in _all_files(place) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(f"{place}: there is no file of Python and no notebook in it")
    return found


def passed_over(place: Path) -> list[str]:
    """The other files of a folder, by their names in it: one may be a worksheet in disguise."""
    return [
        str(path.relative_to(place))
        for path in (_all_files(place) if place.is_dir() else ())
        if path.suffix.lower() not in SUFFIXES
    ]


def _all_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(_hidden(part) for part in path.relative_to(folder).parts)
    )


def _hidden(part: str) -> bool:
    return part.startswith((".", "__")) or part in ("site-packages", "node_modules")


def check(
    path: Path,
    name: str = "",
    sheet: Sheet | None = None,
    seed: int | None = None,
    time_limit: float = SECONDS,
) -> Report:
    """Run a file in a process of its own and judge each equation.

    Args:
        name: under which it is reported; its path, if none is given.
        sheet: the worksheet that it is, if it does not say so itself.
        seed: of the numbers that its functions are called with; None draws another.
        time_limit: seconds for each call, and for what it runs at the top level.
    """
    name = name or str(path)
    try:
        source = blocks(path)
    except OSError as error:
        return Report(name, sheet, _all_wrong(sheet), f"it cannot be read: {error.strerror}")
    except UNPARSABLE as error:
        text = legible(path.read_bytes()).replace('"', "\n")  # of a notebook each line
        sheet = sheet or sheets.of_sources([text])[0]
        return Report(name, sheet, _all_wrong(sheet), unparsable(error))
    if sheet is None:
        sheet, unknown = sheets.of_sources([block.source for block in source])
        if sheet is None:
            nothing = not (unknown or any(block.tree.body or block.fault for block in source))
            return Report(name, None, fault=unknown, remarks=["there is no code in it"] * nothing)
    if sheet.kind in commands.EXTRAS:
        commands.require(sheet.kind, f"exercise {sheet.name}")
    drawn = tasks(sheet, secrets.randbelow(2**31) if seed is None else seed)
    run = _Run(path, sheet, drawn, time_limit)
    run.all()
    bodies = _functions(source)
    report = Report(name, sheet, fault=run.fault, remarks=run.remarks)
    report.broken = [f"{block.shown}: {block.fault}" for block in source if block.fault]
    if any(_imports_samegrad(block.tree) for block in source):
        report.remarks.append("it imports samegrad, which has the answers")
    if run.fault:
        report.results = _all_wrong(sheet)
        return report
    for number, task in enumerate(drawn):
        node = bodies.get(task.part.function)
        empty = node is not None and unwritten(node)
        if number in run.ended:
            part = task.part
            result = Result(part.equation, part.function, WRONG, run.ended[number])
        else:
            result = judged(task, run.given[number], empty)
            if node is None and (fault := _not_parsed(source, task.part.function)):
                result.state, result.said = WRONG, fault
        report.results.append(result)
    _follow(report, drawn, run.given)
    return report


def _not_parsed(source: Sequence[Block], function: str) -> str:
    """Why there is no such function: it stands in a cell that is no Python; else ""."""
    head = re.compile(rf"^\s*(?:def|class)\s+{function.partition('.')[0]}\b", re.MULTILINE)
    cells = [block for block in source if block.fault and head.search(block.source)]
    return f"{cells[-1].shown}: {cells[-1].fault}" if cells else ""


def _all_wrong(sheet: Sheet | None) -> list[Result]:
    """Of a file of which nothing runs."""
    parts = () if sheet is None else sheet.parts
    return [Result(part.equation, part.function, WRONG, "the file cannot be run") for part in parts]


def _follow(report: Report, drawn: Sequence[Task], given: Sequence[Any]) -> None:
    """Of a network that is wrong: whether only what it is made of is, or is not written."""
    by_state = {
        state: [f"{r.function} ({r.equation})" for r in report.results if r.state == state
                and r.equation not in DERIVED and r.equation[0] != "U"]
        for state in (WRONG, UNWRITTEN)
    }  # fmt: skip
    cut = [f"{r.function} ({r.equation})" for r in report.results if CUT in r.notes]
    for result, task, calls in zip(report.results, drawn, given, strict=True):
        if result.equation in DERIVED and result.state == WRONG and cut:
            result.said = f"{', '.join(cut)}: {CUT}"
        if result.equation not in DERIVED or result.state != WRONG:
            continue
        if by_state[UNWRITTEN] and not by_state[WRONG]:
            if result.equation == NET or any("raised" in each for each in calls):
                result.state, result.said = (
                    UNWRITTEN,
                    f"it needs {by_state[UNWRITTEN][0].split()[0]}",
                )
            continue
        if not by_state[WRONG]:
            continue
        raised = next((each["raised"]["function"] for each in calls if "raised" in each), "")
        if result.equation == NET or any(at.startswith(f"{raised} (") for at in by_state[WRONG]):
            result.said = f"because of {', '.join(by_state[WRONG])}"
        elif derives(task, calls):
            result.state, result.said = RIGHT_STATE, ""
            made = f"{', '.join(by_state[WRONG])} make{'s' * (len(by_state[WRONG]) == 1)}"
            result.notes = [f"it is the gradient of the loss that is there, which {made} wrong"]


class _Run:
    """The calls of a file, in as many children as it ends.

    Attributes:
        given: of each task what came of its calls.
        ended: task -> how it ended its process.
        fault: why nothing could be run, or "".
        remarks: on the file.
    """

    def __init__(self, path: Path, sheet: Sheet, drawn: Sequence[Task], time_limit: float) -> None:
        self.path, self.sheet, self.drawn, self.time_limit = path, sheet, drawn, time_limit
        self.given: list[list[dict[str, Any]]] = [[] for _ in drawn]
        self.ended: dict[int, str] = {}
        self.fault = ""
        self.remarks: list[str] = []

    def all(self) -> None:
        """Make all calls."""
        waiting, run = list(range(len(self.drawn))), True
        while waiting and not self.fault:
            stage, current, ended = self._child(waiting, run)
            if stage == "complete":
                return
            said = f"{'hangs' if ended.kind == 'timeout' else 'ends the process'}: {ended.reason}"
            if current is None and stage == "running" and run:
                run = False  # what trains at the top level is left out
            elif current is None:
                self.fault = self.fault or f"it {said}"
            else:
                self.ended[current] = f"it {said}"
                self.given[current] = []
                waiting = waiting[waiting.index(current) + 1 :]

    def _child(
        self, waiting: Sequence[int], run: bool
    ) -> tuple[str, int | None, processes.Exit]:  # fmt: skip
        """(the stage in which it ended, the task that was in flight, how)."""
        stage, current, left = "loading", None, [*waiting]
        limits = {"loading": IMPORT_SECONDS, "running": RUNNING_SECONDS}

        def on_message(message: dict[str, Any]) -> float | None:
            nonlocal stage, current
            if "stage" in message:
                stage = message["stage"]
                limit = min(limits.pop(stage), self.time_limit)
                return limit if stage == "running" else None
            if "fault" in message:
                self.fault, stage = clean(str(message["fault"])), "complete"
            elif "remarks" in message and stage != "calling":
                self.remarks = [clean(str(remark)) for remark in message["remarks"]]
                stage = "calling"
                return self.time_limit
            elif "begins" in message:  # each once: it is given more time for it
                current = left.pop(left.index(message["begins"]))
                return self.time_limit
            elif "complete" in message:
                stage = "complete"
            elif current is not None and [message["task"], message["call"]] == [
                current, len(self.given[current])
            ] and message["call"] < len(self.drawn[current].calls):  # fmt: skip
                self.given[current].append(_result(message))
                return self.time_limit
            else:
                raise ValueError("a result that was not asked for")
            return None

        ended = processes.run_child(
            processes.python_child("samegrad.implementations.exercises.child"),
            self._request(waiting, run),
            {
                **ONE_THREAD,
                **os.environ,
                "MPLBACKEND": "Agg",
                "JAX_ENABLE_X64": "1",
                "JAX_PLATFORMS": "cpu",
            },
            on_message,
            IMPORT_SECONDS,
            doing=f"working on {self.path.name}",
        )
        return stage, current, ended

    def _request(self, waiting: Sequence[int], run: bool) -> dict[str, Any]:
        return {
            "path": str(self.path.resolve()),
            "run": run,
            "kind": self.sheet.kind,
            "tasks": [_plain(number, self.drawn[number]) for number in waiting],
        }


def _plain(number: int, task: Task) -> dict[str, Any]:
    """A task as a child is told it."""
    equation = task.part.equation
    learns = [key for key in task.pool if equation in DERIVED and key[0] in "p+-"]
    return {
        "number": number,
        "equation": equation,
        "function": task.part.function,
        "how": task.how,
        "pool": {key: encode(value) for key, value in task.pool.items()},
        "calls": task.calls,
        "learns": learns,
        "state": STATE.get(equation, 0),
        "counted": equation in COUNTED,
    }


def _result(message: dict[str, Any]) -> dict[str, Any]:
    """What a child sent of a call: a value, or what was raised, in words.

    Raises:
        Exception: one of `processes.SENSELESS`, it is neither.
    """
    if "value" in message:
        said = {name: bool(message[name]) for name in ("changed", "cut")}
        return {"value": decode(message["value"]), **said}
    raised = message["raised"]
    texts = {name: clean(str(raised[name])) for name in ("kind", "text", "function", "cell")}
    return {"raised": {**texts, "line": int(raised["line"])}}


def _functions(source: Sequence[Block]) -> dict[str, ast.FunctionDef]:
    """Functions and methods by their names; of several the last."""
    found: dict[str, ast.FunctionDef] = {}
    for block in source:
        for node in block.tree.body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = node
            elif isinstance(node, ast.ClassDef):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                found |= {f"{node.name}.{n.name}": n for n in methods}
    return found


def _imports_samegrad(tree: ast.AST) -> bool:
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    ]
    return any(name.partition(".")[0] == "samegrad" for name in names)
