"""The parser of every command: one-line errors, suggestions, and what they have in common."""

import argparse
import contextlib
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from samegrad import __version__
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.texts import DASHES, EMPTY, OPTIONAL, clean

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
UNDECIDED, NOT_CHECKED = 3, 4  # of `verify`: nothing is wrong as far as could be seen
STATUS = (
    "exit status: 0 done, 1 a check failed, 2 wrong usage or something is missing, 3 undecided and "
    "4 not checked (verify), 130 interrupted"
)
MOST = 1e7  # of seconds, minutes, megabytes: what is said of them computes with them
LONGEST = 2000  # characters of an error; what is accepted may be some hundred words
NEAR = 0.85  # how alike an unknown option of `benchmark`, which may be pytest's, must be to ours


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Paragraphs in the width of the terminal, as they are where that is enough."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 # argparse's
        parts = text.strip().split("\n\n")
        for i, part in enumerate(parts):
            if max(map(len, part.splitlines())) > width:
                parts[i] = textwrap.fill(" ".join(part.split()), width, break_on_hyphens=False)
        return "\n\n".join(parts)


class Parser(argparse.ArgumentParser):
    """Options in full only; an error is one line on stderr, and the exit status 2."""

    commands: Any = None  # what add_subparsers returned
    of_pytest = False  # whether options that it does not know are pytest's
    one_more = ""  # what is said of an argument too many, if there is more to say

    def __init__(self, **options: Any) -> None:
        epilog = options.pop("epilog", "")
        super().__init__(
            **options,
            allow_abbrev=False,
            formatter_class=Formatter,
            epilog=f"{epilog.strip()}\n\n{STATUS}",
        )
        self.add_argument("--version", action="version", version=f"samegrad {__version__}")

    def error(self, message: str) -> NoReturn:
        """End with one line, which a value of any length does not fill screens with."""
        line = clean(" ".join(message.split()))
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} [...] {line[-LONGEST // 2 :]}"
        self.exit(USAGE, f"{self.prog}: error: {line}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Of a word that is not accepted, what is near it."""
        if action.choices is None or value in action.choices:
            return
        accepted = [str(choice) for choice in action.choices]
        known = f"accepted: {', '.join(accepted)}{did_you_mean(str(value), accepted)}"
        if action.nargs == argparse.PARSER:
            self.error(f"there is no command {value!r} of it; {known}")
        self.error(f"{_named(action)}: {value!r} is not accepted; {known}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """The value of every option and argument, as argparse makes it of a text: never of ""."""
        # Those of a command are its own parser's to judge.
        if not arg_string.strip() and action.nargs != argparse.PARSER:
            self.error(f"{_named(action)}: {_wanted(action, EMPTY)}")
        return super()._get_value(action, arg_string)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """The same of all of its texts: argparse would make an empty list of "--"."""
        if "--" in arg_strings and (action.option_strings or len(arg_strings) == 1):
            self.error(f"{_named(action)}: {_wanted(action, DASHES)}")
        return super()._get_values(action, arg_strings)

    def named(self) -> Mapping[str, "Parser"]:
        """The commands of this one, the hidden ones too."""
        return {} if self.commands is None else self.commands.choices

    def options(self) -> dict[str, argparse.Action]:
        """Its options in their long form."""
        return {
            text: action
            for action in self._actions
            for text in action.option_strings
            if text.startswith("--")
        }

    def positional_values(self) -> tuple[str, ...]:
        """What its arguments without dashes are known to accept."""
        return tuple(
            str(choice)
            for action in self._actions
            if not action.option_strings and isinstance(action.choices, list | tuple)
            for choice in action.choices
        )

    def settable(self) -> dict[str, bool]:
        """The options that pyproject.toml may set, and whether each is a flag."""
        return {
            action.dest: action.nargs == 0
            for action in self.options().values()
            if action.dest not in ("help", "version")
        }

    def preset(self, values: Mapping[str, str | bool]) -> None:
        """Take values of pyproject.toml where the command line has none."""
        for action in self.options().values():
            if action.dest not in values:
                continue
            value = values[action.dest]
            if action.choices is not None and value not in action.choices:
                raise ValueError(
                    f"pyproject.toml: {action.dest} = {value!r} is not accepted; accepted: "
                    f"{', '.join(action.choices)}"
                )
            action.required = False
            several = action.nargs in ("+", "*") and isinstance(value, str)
            self.set_defaults(**{action.dest: str(value).split(",") if several else value})

    def refuse(self, arguments: Iterable[str]) -> NoReturn:
        """End because of arguments that nobody takes."""
        first = next(iter(arguments))
        if self.one_more and not first.startswith("-"):
            self.error(f"{first}: {self.one_more}")
        known = self.options() if first.startswith("-") else ()
        self.error(f"{first}: there is no such option or argument{did_you_mean(first, known)}")

    def refuse_misspelt(self, arguments: Iterable[str]) -> None:
        """End because of an option that is nearly one of ours; others are pytest's."""
        for argument in arguments:
            name = argument.split("=")[0]
            near = did_you_mean(name, self.options(), NEAR)
            if name.startswith("--") and not name.startswith("--benchmark") and near:
                self.error(f"{name}: there is no such option{near}")


def _named(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar)


def _wanted(action: argparse.Action, said: str) -> str:
    return said.removesuffix(OPTIONAL) if action.required else said


def positive(what: str) -> Callable[[str], float]:
    """What reads a number above 0, at most MOST, as typed; `what` says of what it is."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = float(text)
            if 0 < value <= MOST:
                return value
        raise argparse.ArgumentTypeError(
            f"{text!r} is not accepted; give {what}, a number above 0 (at most {MOST:.0f})"
        )

    return read


seconds = positive("seconds")  # of a time limit


def seconds_or_none(text: str) -> float:
    """The same, or 0 for what is not to be done."""
    return 0.0 if text.strip() == "0" else seconds(text)
