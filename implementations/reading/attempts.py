"""What became of the calls of a file's own loss and backward pass, where no gradient was found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from samegrad.implementations.checking.objects.calls import users_lines
from samegrad.implementations.checking.objects.report import (
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
)
from samegrad.implementations.contract.texts import in_one_line
from samegrad.implementations.reading.effects import places

OF_DATA = {"builtins", "numpy", "torch", "jax", "jaxlib"}  # what a trial passes
RUNS_FIRST = (
    "make it run by itself first, or say how it is called: `# samegrad: net = ...`, "
    "`# samegrad: loss = ...`, `# samegrad: backward = ...`"
)


@dataclass
class Attempts:
    """Calls that were tried, by the names of functions, of a backward pass after its class's.

    Attributes:
        own: whether the loss of the calls that are tried now is the file's own.
        losses: of the file's own, that depend on parameters.
        raised: what came out of a backward pass, in its own lines.
        empty: backward passes that returned a container with nothing in it.
        ran: those that gave something, at least once.
        stuck: what came out of a forward pass, of the file's own making.
        went: forward passes that ran, at least once.
        furthest: of a backward pass, with whatever loss, the exception in the latest of its own
            lines, not of a function that it calls.
        hints: what came out of a hint, by its name; None where it ran at least once.
        held: classes of objects that the network which was judged holds.
    """

    own: bool = False
    losses: set[str] = field(default_factory=set)
    raised: dict[str, BaseException] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    ran: set[str] = field(default_factory=set)
    stuck: dict[str, BaseException] = field(default_factory=dict)
    went: set[str] = field(default_factory=set)
    furthest: dict[str, tuple[int, BaseException]] = field(default_factory=dict)
    hints: dict[str, BaseException | None] = field(default_factory=dict)
    held: set[type] = field(default_factory=set)

    def noted(self, name: str, backward: Callable[[], Any]) -> Callable[[], Any]:
        """A backward pass of which it is noted what becomes of it."""

        def called() -> Any:
            try:
                returned = backward()
            except (Exception, SystemExit) as error:
                if lines := users_lines(error):
                    if self.own:
                        self.raised.setdefault(name, error)
                    line = int(lines[0].split(":")[1])
                    if line >= self.furthest.get(name, (0, error))[0]:
                        self.furthest[name] = line, error
                raise
            nothing = isinstance(returned, dict | list | tuple) and not list(places(returned, ""))
            (self.empty if nothing else self.ran).add(name)
            return returned

        return called

    def hinted(self, name: str, value: Callable[[], Any]) -> Any:
        """What a hint gives; what becomes of it is noted."""
        try:
            given = value()
        except (Exception, SystemExit) as error:
            self.hints.setdefault(name, error)
            raise
        self.hints[name] = None
        return given

    def forward(self, name: str, error: BaseException | None = None) -> None:
        """Note what became of a forward pass: its exception, where no other data would help.

        What a wrong form of data raises is of the trial, not of the file.
        """
        own = isinstance(error, NameError | ImportError)
        if isinstance(error, AttributeError):
            kind = type(error.obj).__module__.split(".")[0]
            own = isinstance(error.obj, ModuleType) or kind not in OF_DATA
        if error is None:
            self.went.add(name)
        elif own and users_lines(error):
            self.stuck.setdefault(name, error)

    @property
    def failed(self) -> list[str]:
        """Backward passes that raised whenever they were called."""
        return [name for name in self.raised if name not in self.ran | self.empty]

    def explained(self, report: CheckReport) -> CheckReport | None:
        """Why nothing could be compared, if a pass raises or gives nothing."""
        if report.matches or report.verdict not in (UNDECIDED, NOT_CHECKED):
            return None
        never = [name for name in self.stuck if name not in self.went]
        if never or self.failed:
            of = (never or self.failed)[0]
            error, name = (self.stuck if never else self.raised)[of], of.rpartition(".")[2]
            lines = users_lines(error)
            at = lines[-1].split(": ")[0]
            if isinstance(error, NotImplementedError):
                said = f"not written yet: {name} raises NotImplementedError in {at}"
                return CheckReport(NOT_CHECKED, said=said, lines=tuple(lines))
            said = f"each call of {name} raises, in {at}: {in_one_line(error)}"
            return CheckReport(NOT_CHECKED, said=said, lines=tuple(lines), advice=(RUNS_FIRST,))
        if empty := sorted(self.empty - self.ran):
            name = empty[0].rpartition(".")[2]
            return CheckReport(NOT_CHECKED, said=f"not written yet: {name} returns nothing")
        return None

    def tried(self) -> CheckReport | None:
        """Why no gradient was found where no call of a backward pass came to its end."""
        for name, (_, error) in self.furthest.items():
            if name in self.ran | self.empty:
                continue
            lines = users_lines(error)
            at = lines[-1].split(": ")[0]
            said = f"no call of {name.rpartition('.')[2]} that was tried came to its end; the one "
            said += f"that came furthest raised, in {at}: {in_one_line(error)}"
            return CheckReport(NOT_CHECKED, said=said, lines=tuple(lines), advice=(RUNS_FIRST,))
        return None

    def without(self, loss_name: str) -> CheckReport | None:
        """What is said of a loss that is no number in some readings, and in others is."""
        if self.ran or loss_name not in self.losses:
            return None
        said = f"no gradient was found in it; its loss, {loss_name}, runs"
        return CheckReport(NOT_CHECKED, said=said)
