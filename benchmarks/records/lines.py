"""One line of a journal as plain data."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

from samegrad.implementations.contract.texts import MOST_NESTED, NESTED, check_nesting, clean

# What a line has in which a text is not clean, if it has no letter beyond ASCII.
ESCAPES = (rb"\u", rb"\b", rb"\f", rb"\r")


def may_be_unclean(line: bytes) -> bool:
    """Whether a line of JSON may hold a text that is not clean."""
    if b"\\" in line and any(map(line.__contains__, ESCAPES)):
        return True
    return not line.isascii() or b"\x7f" in line


def cleaned(tree: Any) -> Any:
    """Plain data with clean texts, but for the text of a source, which is parsed and compared."""
    if isinstance(tree, str):
        return clean(tree)
    if isinstance(tree, list):
        return [cleaned(branch) for branch in tree]
    if not isinstance(tree, dict):
        return tree
    source = tree.get("record") == "source"
    return {
        clean(name): branch if source and name == "text" else cleaned(branch)
        for name, branch in tree.items()
    }


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


# JSON without the NaN and Infinity that Python adds to it; made once, which takes longer than to
# decode a line.
DECODER = json.JSONDecoder(parse_constant=_refused)

# What it takes, it takes as Python's own, in a third of the time; of anything else that one says
# what is wrong, or takes it.
_fast: Callable[[bytes], Any] | None = None
with contextlib.suppress(ImportError):
    import msgspec

    _fast = msgspec.json.Decoder().decode


def decoded(line: bytes) -> Any:
    """What a line says.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested too deeply.
    """
    record = _decoded(line)
    if line.count(b"[") + line.count(b"{") > MOST_NESTED:
        check_nesting(record)
    return record


def _decoded(line: bytes) -> Any:
    """As DECODER.decode, which looks for blanks around it by two regular expressions."""
    if _fast is not None:
        with contextlib.suppress(ValueError, RecursionError):
            return _fast(line)
    text = line.decode("utf-8", errors="replace")
    with contextlib.suppress(ValueError):
        record, end = DECODER.raw_decode(text)
        if text[end:] in ("\n", ""):
            return record
    return DECODER.decode(text)


def why(error: Exception) -> str:
    """Why a line or a file cannot be used, in words: what Python or we have raised over it."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON from character {error.pos + 1} on"
    if isinstance(error, KeyError):
        return f"{error} is missing, or not known"
    if isinstance(error, OverflowError) or "int_max_str_digits" in str(error):
        return "a number is too large"
    if isinstance(error, TypeError | AttributeError):
        return "a value is of another kind than it must be"
    return NESTED if isinstance(error, RecursionError) else str(error)
