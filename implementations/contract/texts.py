"""Texts from elsewhere, such as names, messages, journals: they hold anything, and do nothing."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TextIO

# What parsing or compiling a text raises that is no Python, or nested too deep.
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


class UnreadableError(ValueError):
    """A file is no Python, for the reason that this says, with what to do."""


def unparsable(error: BaseException) -> str:
    """What is said of such a text, in one line."""
    if isinstance(error, UnreadableError):
        return clean(message(error))
    line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    said = getattr(error, "msg", None) or error
    return clean(f"it is no Python: {type(error).__name__}{line}: {said}")


BYTE_ORDERS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16",
               b"\xfe\xff": "UTF-16"}  # fmt: skip
# How files begin that are handed in for, or as, one of Python.
OTHERS = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive or a document of an office program",
          b"{\\rtf": "rich text (RTF)", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
          b"\x1f\x8b": "a compressed file"}  # fmt: skip
CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=]", re.MULTILINE)  # in the first two lines


def not_utf8(data: bytes) -> str:
    """Why the bytes of a file are no Python in UTF-8, with what to do; or ""."""
    if other := next((what for begin, what in OTHERS.items() if data.startswith(begin)), ""):
        return f"it is {other}; give the file of Python itself"
    of = next((name for mark, name in BYTE_ORDERS.items() if data.startswith(mark)), "")
    if not of and data[:200].count(0) > len(data[:200]) // 4:
        of = "UTF-16"
    if of:
        return f"it is text in {of}: save it as UTF-8"
    if 0 in data:
        line = data[: data.index(0)].count(b"\n") + 1
        return f"it has bytes of zero (line {line}): save it as plain text in UTF-8"
    if CODING.search(b"\n".join(data.splitlines()[:2])):
        return ""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return f"it is no UTF-8 (line {line}): save it as UTF-8"
    return ""


def legible(data: bytes) -> str:
    """What is ASCII in the bytes of a file, whatever its encoding: for one that is no Python."""
    return data.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf").decode("ascii", "replace")


# Control characters but newline and tab, line separators, what turns the direction of a line, and
# halves of surrogate pairs, which no encoding has.
ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

TYPED = re.compile("`([^`]+)`")  # in a sentence: a command, or what else can be typed

OPTIONAL = ", or leave it out"  # at the end of these two, of what may be left out
EMPTY = f"an empty text is not accepted; give a value{OPTIONAL}"  # after what it stands for
DASHES = f"'--' ends the options and is no value; give a value{OPTIONAL}"


MOST_NESTED = 32  # lists and tables in each other; ours have six
NESTED = f"more than {MOST_NESTED} lists or tables lie in each other"


def check_nesting(tree: Any) -> None:
    """Raise ValueError if plain data is nested too deep for what walks through it later."""
    level = [tree]
    for _ in range(MOST_NESTED):
        level = [
            branch
            for node in level
            for branch in (node.values() if isinstance(node, dict) else node)
            if isinstance(branch, dict | list)
        ]
        if not level:
            return
    raise ValueError(NESTED)


def is_utf8(text: str) -> bool:
    """Whether a text can be written: bytes of other letters, in a name or an argument, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    r"""A text in which nothing acts on what shows it: such characters stand as escapes, \x1b."""
    return ACTING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def an(noun: str) -> str:
    """A noun after its article: a list, an object."""
    return f"a{'n' * (noun[:1] in set('aeiou'))} {noun}"


def shortened(text: str, most: int) -> str:
    """A text of so many characters at most: a longer one ends after a word, and says so."""
    if len(text) <= most:
        return text
    cut = text[: most - 4]
    word = cut if text[most - 4].isspace() else cut.rpartition(" ")[0]
    return f"{word.rstrip() if 2 * len(word) > most else cut} ..."


def message(error: BaseException) -> str:
    """The text of an exception, be it somebody's whose text cannot be had."""
    try:
        return str(error)
    except Exception:  # whatever their __str__ raises
        return "its message cannot be told"


def in_one_line(error: BaseException) -> str:
    """An exception in one line of at most 300 characters and its type."""
    text = " ".join(message(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def described(value: object) -> str:
    """What somebody has given, for a message: "the number 3", "the text 'a'", "an ndarray"."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int | float):
        return f"the number {value!r:.40}"
    if isinstance(value, str):
        return f"the text {value!r:.60}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


@contextmanager
def clean_errors() -> Iterator[None]:
    """Around a function, or in a block: what is raised has clean messages, whatever they quote."""
    try:
        yield
    except Exception as error:
        error.args = tuple(clean(a) if isinstance(a, str) else a for a in error.args)
        raise


def no_value(text: str) -> str:
    """Why a text is no value of an option, or ""."""
    return DASHES if text == "--" else "" if text.strip() else EMPTY


class Coloured(str):
    """A line with colours for a terminal that has some: (begin, end, code of the colour)."""

    spans: Sequence[tuple[int, int, str]]

    def __new__(cls, text: str, spans: Sequence[tuple[int, int, str]]) -> Self:
        """The text itself has no colours."""
        made = super().__new__(cls, text)
        made.spans = spans
        return made

    def painted(self) -> str:
        """The text with its colours."""
        parts, at = [], 0
        for begin, end, code in self.spans:
            parts += [self[at:begin], f"\x1b[{code}m", self[begin:end], "\x1b[0m"]
            at = end
        return "".join([*parts, self[at:]])


def colours(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, and nobody has said no (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def say(text: object, *, error: bool = False, end: str = "\n") -> None:
    """Print a text that may be anybody's, at once: clean, and in letters that the terminal has.

    Args:
        text: one line or several.
        error: whether it goes to standard error.
        end: what comes after it, as it is.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    shown = clean(str(text)).encode(encoding, "backslashreplace").decode(encoding)
    if isinstance(text, Coloured) and shown == text and colours(stream):
        shown = text.painted()
    print(shown, file=stream, end=end, flush=True)
