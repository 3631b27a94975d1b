"""A loss of a file's own that nothing calls, where a loop writes out another one to train on."""

import ast
import inspect
import linecache
import re
from dataclasses import replace

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import UNDECIDED, CheckReport
from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.implementations.reading import names
from samegrad.implementations.reading.readings import Reading

TRAINED = re.compile(r"(?:\w*_)?(?:loss|cost|objective)", re.IGNORECASE)
WORDS = {  # of an expression, by those of the standard loss that it is
    "entropy": re.compile(r"\blog\w*\("),
    "squared": re.compile(r"\*\* ?2\b|square\(|power\("),
}


def written_instead(reading: Reading) -> str:
    """The expression that a loop of the file has for its loss, or "".

    Only where that function is called nowhere in the file which was taken for its loss.
    """
    name = reading.loss_name.partition(",")[0]
    own = {f.__name__: f for f in reading.users if inspect.isroutine(f)}
    code = getattr(own.get(name), "__code__", None)
    if code is None or not code.co_filename.endswith(".py"):
        return ""  # cells see each other
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except UNPARSABLE:
        return ""
    if name in _read(tree):
        return ""
    called = {n for n in own if names.LOSS.fullmatch(names.plain(n))}
    loops = (node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While))
    for node in (node for loop in loops for node in ast.walk(loop)):
        if not isinstance(node, ast.Assign) or _read(node.value) & called:
            continue
        target = _word(node.targets[0])
        if TRAINED.fullmatch(target) and not isinstance(node.value, ast.Constant | ast.Name):
            return ast.unparse(node.value)
    return ""


def of_written(report: CheckReport, reading: Reading, text: str) -> CheckReport:
    """A report on a standard loss, with what is to be said of the function that nothing calls.

    Args:
        reading: with that function.
        text: what the loop has for its loss.
    """
    if not report.agrees:
        return report
    said = f"{reading.loss_name}, which nothing calls, is another loss"
    standard = report.reading.rpartition("loss: ")[2]
    if any(word in standard and words.search(text) for word, words in WORDS.items()):
        return replace(report, notes=(Note("factor", said), *report.notes))
    said = f"{said} than that of its gradient ({standard})"
    advice = f"say which loss is meant: the loop has {text}"
    return replace(report, verdict=UNDECIDED, said=said, advice=(advice,))


def _read(tree: ast.AST) -> set[str]:
    return {
        _word(node) for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    }  # fmt: skip


def _word(node: ast.AST) -> str:
    return str(getattr(node, "id", "") or getattr(node, "attr", ""))
