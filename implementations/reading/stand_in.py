"""Data in the place of what a script loads and is not here: arrays of the widths that it is for.

Widths and forms are tried until a turn of its loop runs to its end.
"""

import ast
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import MANY
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.loading import Loaded, execute
from samegrad.implementations.reading.loops import Loop, draws
from samegrad.implementations.reading.turns import RaisedError, Script

Array = Any
EXAMPLES = 14  # of which a turn takes half
MOST_TRIED = 160  # widths and forms
MOST_WIDTHS = 8
MOST_CLASSES = 30
WIDEST = 1024
MOST_ROWS = 2000
FORMS = ("labels", "one-hot", "column", "flat")  # of targets


@dataclass(frozen=True)
class Given:
    """Data in some form.

    Attributes:
        f, k: features and outputs.
        y: the form of targets, of FORMS.
        columns: whether examples are columns.
        first: whether targets are the first column of a table.
        kept_off: examples that the file takes for something else, such as tests.
    """

    f: int
    k: int
    y: str
    columns: bool = False
    first: bool = False
    kept_off: int = 0

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.kept_off + max(EXAMPLES, self.k + 2)

    def inputs(self) -> Array:
        """Numbers from 0 to 1, an example in each row or column."""
        X = np.random.default_rng(self.f).random((self.n, self.f)) * min(1.0, MANY / self.f) ** 0.5
        return X.T.copy() if self.columns else X

    def targets(self) -> Array:
        """Labels 0 to k - 1 in the form."""
        k = max(self.k, 2)
        labels = np.random.default_rng(self.k).permutation(np.arange(self.n) % k)
        if self.y == "one-hot":
            rows = np.eye(k)[labels]
            return rows.T.copy() if self.columns else rows
        if self.y == "column":
            return labels.reshape((1, -1) if self.columns else (-1, 1)).astype(float)
        return labels.astype(float) if self.y == "flat" else labels

    def table(self) -> Array:
        """Inputs with labels beside them."""
        labels = replace(self, y="flat").targets()[:, None]
        X = replace(self, columns=False).inputs()
        return np.hstack([labels, X] if self.first else [X, labels])


def with_data(loop: Loop, loaded: Loaded, end: float) -> Iterator[Loop]:
    """The loop with data in forms in which a turn runs, where what it loads is not there.

    Args:
        end: of time.process_time(), after which none are tried.
    """
    if time.process_time() > end:
        return
    missing = _missing(loop, loaded)
    if not missing:
        return
    stored = {n.id for s in missing for n in ast.walk(s)
              if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
    tables = [n for n in stored if _role(n) not in ("X", "y")]
    for given in itertools.islice(_forms(loaded, tables), MOST_TRIED):
        if time.process_time() > end:
            return
        values = {name: _value(name, given, missing, loaded) for name in stored}
        other = replace(loop, given={**loop.given, **values}, supplied=tuple(sorted(stored)))
        if _runs(other, loaded, given):
            yield other


def _forms(loaded: Loaded, tables: Sequence[str]) -> Iterator[Given]:
    """Widths that the file has in its numbers, in all forms."""
    nodes = [n for s in loaded.statements for n in ast.walk(s)]
    numbers = dict.fromkeys(
        n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) is int
    )
    wide = [n for n in numbers if 1 < n <= WIDEST]
    named = [v for n, v in loaded.namespace.items()
             if type(v) is int and names.width(n) == "f" and 1 < v <= WIDEST]  # fmt: skip
    widths = list(dict.fromkeys([*named, *sorted(wide, key=lambda n: n % 7 == 0 and n < 700)]))
    classes = [n for n in numbers if 1 < n <= MOST_CLASSES]
    ends = [part.value for n in nodes if isinstance(n, ast.Slice) for part in (n.lower, n.upper)
            if isinstance(part, ast.Constant) and type(part.value) is int]  # fmt: skip
    off = max((end for end in ends if EXAMPLES < end <= MOST_ROWS), default=0)
    for f in (widths or [4])[:MOST_WIDTHS]:
        for k in dict.fromkeys([*classes[:MOST_WIDTHS], 2]):
            if tables:
                yield from (Given(f, k, "labels", False, first, off) for first in (False, True))
                continue
            for columns, y in itertools.product((False, True), FORMS):
                yield Given(f, k, y, columns, False, off)


def _role(name: str) -> str:
    """Of a variable; what is kept off for validation has the form of the rest."""
    return names.role(name).removesuffix(" val")


def _value(name: str, given: Given, missing: Sequence[ast.stmt], loaded: Loaded) -> Any:
    """What stands for a variable, by its name."""
    role = _role(name)
    if role in ("X", "y"):
        return given.inputs() if role == "X" else given.targets()
    text = "".join(ast.unparse(s) for s in missing)
    pandas = sys.modules.get("pandas")
    if pandas is None or not ("pd." in text or "pandas" in text):
        return given.table()
    nodes = (n for s in loaded.statements for n in ast.walk(s))
    keys = [n.slice.value for n in nodes if isinstance(n, ast.Subscript)
            and isinstance(n.slice, ast.Constant) and isinstance(n.slice.value, str)]  # fmt: skip
    columns = [f"x{i}" for i in range(given.f)]
    label = keys[0] if len(set(keys)) == 1 else "label"
    columns.insert(0 if given.first else len(columns), label)
    return pandas.DataFrame(given.table(), columns=columns)


def _missing(loop: Loop, loaded: Loaded) -> list[ast.stmt]:
    """The statements ahead of a loop that load what is not there."""
    space: dict[str, Any] = {**loaded.namespace, **loop.given}
    found: list[ast.stmt] = []
    opened = {item.optional_vars.id for s in loaded.statements for node in ast.walk(s)
              if isinstance(node, ast.With) for item in node.items
              if isinstance(item.optional_vars, ast.Name)}  # fmt: skip
    for statement in loop.before:
        if draws(statement) or isinstance(statement, ast.For | ast.While):
            continue
        try:
            with at_most():
                execute([statement], loop.filename, space)
        except (OSError, ImportError):
            if isinstance(statement, ast.Assign):
                found.append(statement)
        except NameError as error:  # what `with np.load(...) as data` opens is not there either
            if isinstance(statement, ast.Assign) and error.name in opened:
                found.append(statement)
        except (Exception, SystemExit):
            continue
    return found


def _runs(loop: Loop, loaded: Loaded, given: Given) -> bool:
    """Whether a turn runs to its end, and targets have the form of what they are compared with."""
    held = len(loaded.raised)
    try:
        script = Script(loop, loaded)
        after = script.turn(False)
    except RaisedError:
        return False
    except (Exception, SystemExit):
        return False
    finally:
        del loaded.raised[held:]
    if not script.weights:
        return False
    new = [v for k, v in after.items() if k not in script.base and isinstance(v, np.ndarray)]
    y = [v for k, v in {**script.base, **after}.items() if names.role(k) == "y"]
    shapes = {np.shape(v) for v in y} - {()}
    alike = any(v.dtype.kind == "f" and v.shape in shapes for v in new)
    return alike or (given.y == "labels" and any(v.ndim == 2 for v in new) and bool(shapes))
