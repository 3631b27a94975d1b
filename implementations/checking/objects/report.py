"""What a check found, for people, for notebooks and for programs."""

import html
import textwrap
from dataclasses import dataclass
from math import isclose
from typing import Any

from samegrad.implementations.checking.comparison import TensorCheck
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.contract.texts import clean

AGREES, DISAGREES = "agrees", "disagrees"
UNDECIDED, NOT_CHECKED, UNAVAILABLE = "undecided", "not checked", "unavailable"
WIDTH = 80


@dataclass(frozen=True)
class Match:
    """One parameter, and what was taken for its gradient.

    Attributes:
        name: of the parameter, such as "net.W1".
        shape: of the parameter.
        gradient: what was taken for its gradient, such as "returned[0][1].T"; "" for nothing.
        constant: the gradient over the slopes; 1 is right; None where they are not proportional.
        error: the largest difference from the slopes, relative to the largest slope; None for none.
        bound: what it may be.
        measured: entries whose slope was measured; directions through the whole array come on top.
        entries: that it has.
        verdict: "agrees", "disagrees", "undecided" or "not checked".
        reason: why it does not agree, or "".
    """

    name: str
    shape: tuple[int, ...]
    gradient: str = ""
    constant: float | None = None
    error: float | None = None
    bound: float = 0.0
    measured: int = 0
    entries: int = 0
    verdict: str = AGREES
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Of strings, numbers and None, as JSON has them."""
        return {**vars(self), "shape": list(self.shape)}


@dataclass(frozen=True)
class CheckReport:
    """The verdict of a check. It is true if the gradient agrees.

    Attributes:
        verdict: "agrees" (perhaps with notes), "disagrees", "undecided", "not checked" or
            "unavailable".
        matches: of each parameter.
        notes: conventions that were found.
        lines: of the user's files, where a fault is: "FILE:LINE: ...".
        advice: what to do, one sentence each.
        remarks: how it was checked, one line each: settings, samples.
        method: of the slopes: "central", "complex", "torch" or "jax".
        reading: how a file was read, or "".
        said: a reason that is no parameter's.
        snippet: lines of Python that show a fault of a file, or "".
    """

    verdict: str
    matches: tuple[Match, ...] = ()
    notes: tuple[Note, ...] = ()
    lines: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    method: str = "central"
    reading: str = ""
    said: str = ""
    snippet: str = ""

    @property
    def agrees(self) -> bool:
        """Whether something was compared and all of it agrees."""
        return self.verdict == AGREES

    @property
    def constant(self) -> float | None:
        """How many times its slopes every gradient is; None if it is not so of all of them."""
        constants = [match.constant for match in self.matches]
        first = constants[0] if constants else None
        same = (c is not None and isclose(c, first or 0.0, rel_tol=1e-3) for c in constants)
        return first if all(same) else None

    @property
    def disagrees(self) -> bool:
        """Whether something is wrong, and not only undecided."""
        return self.verdict == DISAGREES

    def __bool__(self) -> bool:
        return self.agrees

    @property
    def reason(self) -> str:
        """One line: why this is no agreement; "" if it is one."""
        if self.agrees:
            return ""
        of_matches = (m.reason for m in self.matches if m.verdict == self.verdict and m.reason)
        return self.said or next(of_matches, self.verdict)

    @property
    def tensors(self) -> tuple[TensorCheck, ...]:
        """The same of each parameter as `verify` has it."""
        return tuple(
            TensorCheck(
                m.name,
                m.error,
                m.bound,
                m.reason or None,
                undecided=m.verdict in (UNDECIDED, NOT_CHECKED),
            )
            for m in self.matches
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, of strings, numbers, lists and None, as JSON has them."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "reading": self.reading,
            "method": self.method,
            "matches": [match.to_dict() for match in self.matches],
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
            "lines": list(self.lines),
            "advice": list(self.advice),
            "remarks": list(self.remarks),
            "snippet": self.snippet,
        }

    def __str__(self) -> str:
        return clean("\n".join(self._text()))

    def _text(self) -> list[str]:
        lines = _wrapped(self.headline, "")
        if self.reading:
            lines += _wrapped(f"read as {self.reading}")
        rows = [_row(match) for match in self.matches]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            line = "  " + "  ".join(cells).rstrip()
            lines += [line] if len(line) <= WIDTH else _wrapped("  ".join(row))
        for reason in self._more():
            lines += _wrapped(reason)
        for text in self.lines:
            lines += _wrapped(text)
        for kind, texts in (("note", self.notes), ("", self.remarks), ("do", self.advice)):
            for said in texts:
                lines += _wrapped(f"{kind}: {said}" if kind else str(said))
        if self.snippet:  # not indented: it is there to be pasted
            lines += ["  the same in Python:", "", *self.snippet.splitlines(), ""]
        return lines

    def _more(self) -> list[str]:
        """The reasons that the headline has not, each once."""
        reasons = [m.reason for m in self.matches if m.reason and m.verdict != NOT_CHECKED]
        return [reason for reason in dict.fromkeys(reasons) if reason != self.reason]

    @property
    def headline(self) -> str:
        """The verdict with its reason, and the method."""
        if self.agrees:
            notes = ", with notes" if self.notes else ""
            return f"gradient against {self.method}: agrees{notes}"
        return f"gradient against {self.method}: {self.verdict.upper()}: {self.reason}"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The text, in IPython's terminal and in notebooks that show no HTML."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        head = "".join(
            f"<th>{html.escape(cell)}</th>" for cell in ("parameter", "gradient", "", "checked", "")
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _row(m)) + "</tr>"
            for m in self.matches
        )
        texts = [*self.lines, *(f"note: {note}" for note in self.notes), *self.remarks]
        texts += [f"do: {advice}" for advice in self.advice]
        texts = self._more() + texts
        below = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
        below = f"<ul>{below}</ul>" if below else ""
        return clean(f"<p><b>{html.escape(self.headline)}</b></p>{table}{below}")


def _row(match: Match) -> tuple[str, ...]:
    """(parameter, gradient, error, checked, verdict)."""
    error = "-" if match.error is None else f"{match.error:.0e}"
    checked = f"{match.measured} of {match.entries}" if match.entries else "-"
    shape = "x".join(map(str, match.shape)) or "1"
    return f"{match.name} {shape}", match.gradient or "-", error, checked, match.verdict


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    """Within 80 columns; what goes on is indented more."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "    ") or [
        indent
    ]
