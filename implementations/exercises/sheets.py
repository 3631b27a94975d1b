"""The worksheets: which functions each leaves to be written, and which equation each is."""

import importlib.machinery
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from samegrad.implementations.contract.commands import EXTRAS, did_you_mean

FOLDER = Path(__file__).parent / "worksheets"
MARK = re.compile(r"^#\s*samegrad exercise:\s*([\w-]+)", re.MULTILINE)  # in a file, on its line
NET = "net"  # in the place of an equation: all of them together
GROUPS = {"F": "forward", "L": "loss", "B": "gradient", "D": "gradient", "U": "step"}


@dataclass(frozen=True)
class Part:
    """One equation of a worksheet.

    Attributes:
        equation: its tag, or NET.
        function: that computes it; "Class.method" of a class.
    """

    equation: str
    function: str

    @property
    def group(self) -> str:
        """Forward, loss, gradient or step; "" of the network as a whole."""
        return "" if self.equation == NET else GROUPS[self.equation[0]]


@dataclass(frozen=True)
class Sheet:
    """A worksheet.

    Attributes:
        name: by which it is asked for.
        title: in a few words.
        kind: of its arrays: "lists", "numpy", "torch" or "jax".
        parts: in its order.
        one: whether its functions take one example instead of a batch.
    """

    name: str
    title: str
    kind: str
    parts: tuple[Part, ...]
    one: bool = False

    @property
    def scored(self) -> list[Part]:
        """Those that somebody writes."""
        return [part for part in self.parts if part.equation != NET]

    @cached_property
    def text(self) -> str:
        """The worksheet as it is handed out."""
        return (FOLDER / f"{self.name}.txt").read_text(encoding="utf-8")


def _parts(text: str) -> tuple[Part, ...]:
    pairs = (word.split("=") for word in text.split())
    return tuple(Part(equation, function) for equation, function in pairs)


_FORWARD = "F1=affine F2=activation L1=loss "
_BACK = "B1=output_delta B2=weight_gradient B3=bias_gradient B4=hidden_delta U1=update "
_DERIVED = _FORWARD + "L2=penalty B1-B4=loss_and_grad U1=update"
SHEETS = {
    sheet.name: sheet
    for sheet in (
        Sheet(
            "loops",
            "the network in plain Python, one number at a time",
            "lists",
            _parts(f"{_FORWARD} L2=penalty {_BACK} {NET}=loss_and_grad"),
        ),
        Sheet(
            "vectors",
            "with NumPy, one example at a time",
            "numpy",
            _parts(f"{_FORWARD} {_BACK} {NET}=loss_and_grad"),
            one=True,
        ),
        Sheet(
            "matrices",
            "with NumPy, all examples at once",
            "numpy",
            _parts(f"{_FORWARD} L2=penalty {_BACK} {NET}=loss_and_grad"),
        ),
        Sheet(
            "optimizers",
            "the rules by which parameters learn",
            "numpy",
            _parts("U1=sgd U2=momentum U3=nesterov U4=adagrad U5=adadelta U6=adam U7=adamw"),
        ),
        Sheet(
            "autograd",
            "reverse mode from scratch",
            "lists",
            _parts(
                "D1=Value.__add__ D2=Value.__mul__ D3=Value.tanh D4=Value.exp D5=Value.log "
                f"D6=Value.backward {NET}=loss_and_grad"
            ),
        ),
        Sheet("torch", "forward by hand, back by torch", "torch", _parts(_DERIVED)),
        Sheet("jax", "forward by hand, back by JAX", "jax", _parts(_DERIVED)),
    )
}


def named(name: str) -> Sheet:
    """A worksheet by its name.

    Raises:
        ValueError: there is none of this name.
    """
    if name.lower() not in SHEETS:
        raise ValueError(
            f"exercise {name!r} is not known; accepted: {', '.join(SHEETS)}"
            f"{did_you_mean(name, SHEETS)}"
        )
    return SHEETS[name.lower()]


def of_sources(sources: Sequence[str]) -> tuple[Sheet | None, str]:
    """The worksheet that a file says it is, in the line that `start` has written.

    Returns:
        It, or None; and what is said of a name that is not known, or "".
    """
    said = [match[1] for source in sources for match in MARK.finditer(source)]
    known = [name for name in map(str.lower, said) if name in SHEETS]
    if known or not said:
        return (SHEETS[known[0]] if known else None), ""
    try:
        return named(said[0]), ""
    except ValueError as error:
        return None, str(error)


def hides(path: Path) -> str:
    """The library that a file of this name hides from programs beside it, or ""."""
    name = path.stem
    if path.suffix.lower() != ".py" or not name.isidentifier():
        return ""
    known = {"numpy", "samegrad", *sys.stdlib_module_names, *chain(*EXTRAS.values())}
    return name if name in known or _is_installed(name) else ""


def _is_installed(name: str) -> bool:
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return importlib.machinery.PathFinder.find_spec(name, folders) is not None
