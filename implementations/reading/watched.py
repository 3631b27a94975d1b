"""Readings of what a program does with its own network, as its own calls stand.

A turn of a loop changes numbers that were there before. Of these the weights are those on which
something depends that has the size of the targets and does not hang on these: the outputs.
"""

import ast
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.compare import compare
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.gone_by import decay, goes_by, is_before, with_decay
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.observed import INDEX, Observed, attribute, of_layer
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.replayed import (
    HELD,
    RETURNED,
    STATE,
    TURN,
    Quantity,
    Replay,
)
from samegrad.implementations.reading.seen import Traced
from samegrad.implementations.reading.signed import is_difference
from samegrad.implementations.reading.watching import Turn, watched

Array = Any
SECONDS = 12.0  # of this process, for all readings of what programs do
SUMS = re.compile(r"^(?!.*(?:mom|rms|vel|adam)).*grad")  # names of what may not start from zero
MOST_TURNS = 2  # of one loop or function
MOST_PAIRS = 4  # of outputs and targets that are tried
MOST_TARGETS = 8  # different values of what may be targets
MOST_CLASSES = 100
LEAST_WEIGHTS = 3
MOST_OWN = 3  # losses of the program's own


def watched_readings(loaded: Loaded) -> Iterator[Reading]:
    """Readings of the turns that programs with the file's network make, the innermost first."""
    until = time.process_time() + SECONDS
    for path, turns in watched(loaded):
        how = "its own run" + (f" by {path.name}" if path != loaded.path else "")
        yield from readings_of(turns, how, until)


def readings_of(turns: Sequence[Turn], how: str, until: float) -> Iterator[Reading]:
    """Readings of turns that were seen.

    Args:
        how: what was run, in words.
        until: of time.process_time(), after which none are tried.
    """
    tried = Counter[tuple[str, int]]()
    for turn in turns:
        line = (turn.loop.filename, turn.loop.first)
        if time.process_time() > until:
            return
        if tried[line] < MOST_TURNS:
            tried[line] += 1
            with contextlib.suppress(Exception, SystemExit):  # it may raise when run again
                yield from _readings(Observed(Replay(turn)), how)


@dataclass
class _Group:
    """Numbers at several places as one array."""

    name: str
    members: list[str]
    shapes: list[tuple[int, ...]]
    array: Array

    def values(self) -> dict[str, Array]:
        """What belongs at each place."""
        if len(self.members) == 1:
            return {self.members[0]: self.array}
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(np.ravel(self.array), np.cumsum(sizes)[:-1])
        return {
            name: part.reshape(shape)
            for name, part, shape in zip(self.members, parts, self.shapes, strict=True)
        }

    def gathered(self, values: dict[str, Array]) -> Array:
        """The array, of what is at each place."""
        if len(self.members) == 1:
            return values[self.members[0]]
        return np.concatenate([np.ravel(values[name]) for name in self.members]).reshape(
            np.shape(self.array) if np.size(self.array) else -1
        )


def _readings(seen: Observed, run: str) -> Iterator[Reading]:
    found = []
    for (out, y), patterns in list(_pairs(seen))[:MOST_PAIRS]:
        groups = [g for g in _groups(seen, patterns) if out in seen.followers(g.members)]
        size = sum(g.array.size for g in groups)
        members = [m for g in groups for m in g.members]
        if size >= LEAST_WEIGHTS and seen.follow_themselves(members):
            found.append((size, groups, out, y))
    most = max((size for size, *_ in found), default=0)  # hidden units follow fewer
    told = False
    for size, groups, out, y in found:
        if size == most:
            yield from _of_pair(seen, groups, out, y, run, told)
            told = True


def _pairs(seen: Observed) -> Iterator[tuple[tuple[Quantity, Quantity], list[str]]]:
    """Outputs with targets of their size, and the patterns of the weights that outputs follow.

    Outputs do not depend on what targets come from, and what becomes of the weights does.
    """
    anything = set().union(*seen.depends.values()) if seen.depends else set()
    fixed = [k for k in seen.quantities if k not in anything and seen.whole(k)]
    changing = [k for k in seen.base if k[3] == -1 and k not in anything and not seen.stable(k)]
    last = [seen.base[k].tobytes() for k in changing if names.role(_word(k)) == "y"]
    outs = [k for k in seen.quantities if k in anything and seen.whole(k)]
    outs = [k for k in outs if not _is_single(seen.quantities[k])]
    outs = [k for k in outs if "<" not in k[0].rpartition(".")[2]]  # of comprehensions
    outs = [
        k for k in outs  # no weights themselves
        if k[0] != STATE or INDEX.sub("[*]", seen.replay.groups[k[2]][0]) not in seen.weights
    ]  # fmt: skip
    # What a turn changes is no target, nor what a comprehension ends with.
    fixed = [k for k in fixed if k[0] != STATE and "<" not in k[0].rpartition(".")[2]]
    called = [k for k in fixed if names.role(_word(k)) == "y" or k[0] == HELD]
    others = [k for k in fixed if k not in called and names.role(_word(k)) not in ("X", "lr", "n")]
    others = [k for k in others if not _word(k).startswith(RETURNED)]
    plainly = [k for k in called if len(_word(k)) > 1 or _word(k).lower() == "y"]
    for targets in (plainly, [k for k in called if k not in plainly], others):
        found = []
        sources: dict[bytes, list[tuple[str, set[Quantity]]]] = {}
        for y in targets:
            value = seen.quantities[y]
            alike = [o for o in outs if _wanted(value, seen.quantities[o]) is not None]
            key = value.tobytes()
            if not alike or key in last or (len(sources) > MOST_TARGETS and key not in sources):
                continue
            if key not in sources:
                sources[key] = seen.sources(y)
            for out in alike:
                patterns = [p for p, followers in seen.depends.items() if out in followers]
                weights = [n for n in seen.changed if INDEX.sub("[*]", n) in patterns]
                free = [name for name, following in sources[key] if out not in following]
                if free and seen.learns(free, weights):
                    found.append((_rank(out, patterns), (out, y), patterns))
        most = max((len(patterns) for _, _, patterns in found), default=0)
        kept: dict[bytes, Any] = {}
        for _, pair, patterns in sorted(found, key=lambda f: f[0]):
            if len(patterns) == most:
                key = seen.quantities[pair[0]].tobytes() + seen.quantities[pair[1]].tobytes()
                kept.setdefault(key, (pair, patterns))
        yield from kept.values()
        if kept:
            return


def _is_single(values: Array) -> bool:
    """Whether numbers are of float32, of which slopes have too few digits."""
    whole = np.array_equal(values, np.round(values))
    return not whole and np.array_equal(values, values.astype(np.float32))


def _rank(out: Quantity, patterns: Sequence[str]) -> tuple[Any, ...]:
    """The order in which outputs are tried."""
    return (
        -len(patterns), names.role(_word(out)) != "out" and _word(out) != RETURNED,
        not names.FORWARD.match(out[0].rpartition(".")[2]), out[0] == TURN,
    )  # fmt: skip


def _word(key: Quantity) -> str:
    return key[2]


def _wanted(y: Array, out: Array) -> Array | None:
    """Targets in the form of outputs, or None."""
    if y.size == out.size:
        return y.reshape(out.shape)
    labels = y.ravel()
    whole = np.array_equal(labels, np.round(labels)) and labels.min(initial=0) >= 0
    if whole and out.ndim == 2:
        for n, k in (out.shape, out.shape[::-1]):
            if len(labels) == n and k > 1 and labels.max() < k:
                rows = np.eye(k)[labels.astype(int)]
                return rows if (n, k) == out.shape else rows.T
    if whole and y.ndim == 0 and out.ndim == 1 and labels[0] < out.size <= MOST_CLASSES:
        return np.eye(out.size)[int(labels[0])]
    return None


def _groups(seen: Observed, patterns: Sequence[str]) -> list[_Group]:
    """The weights, those of nodes by their layers, as arrays."""
    members = {
        p.name for p in seen.replay.places if INDEX.sub("[*]", p.name) in patterns
        and (p.name in seen.changed or names.WEIGHT.fullmatch(names.plain(attribute(p.name))))
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    for place in seen.replay.places:
        if place.name not in members:
            continue
        name = place.name
        if np.ndim(seen.before[name]) == 0 or len(INDEX.findall(name)) > 1:
            name = of_layer(name)
        found.setdefault(name, []).append(place.name)
    made = []
    for name, paths in found.items():
        shapes = [seen.before[p].shape for p in paths]
        group = _Group(_shown(name), paths, shapes, np.empty(0))
        group.array = np.array(group.gathered(seen.before), np.float64)
        rows = len({INDEX.findall(p)[1] for p in paths}) if all(
            len(INDEX.findall(p)) > 1 for p in paths) else 1  # fmt: skip
        if len(paths) > 1 and rows > 1 and group.array.size % rows == 0:
            group.array = group.array.reshape(rows, -1)
        made.append(group)
    return made


def _shown(path: str) -> str:
    """A path as one writes it."""
    return re.sub(r"\['(\w+)'\]", r".\1", path.removeprefix("net")).removeprefix(".")


def _of_pair(
    seen: Observed,
    groups: list[_Group],
    out: Quantity,
    y: Quantity,
    run: str,
    told: bool,
) -> Iterator[Reading]:
    net = {g.name: g.array for g in groups}
    target: Array = _wanted(seen.quantities[y], seen.quantities[out])
    paths = [m for g in groups for m in g.members]
    rate = _rate(seen)

    def values() -> dict[str, Array]:
        found: dict[str, Array] = {}
        for group in groups:
            group.array = net[group.name]
            found |= group.values()
        return found

    buffers = [n for n in seen.buffers(paths) if not SUMS.search(n.lower())]
    zeros = {n: np.zeros_like(seen.before[n]) for n in buffers}

    def backward() -> dict[str, Array]:
        given = values() | zeros
        _, after = seen.replay.run(given, set(), paths)
        return {
            f"d net[{g.name!r}]": np.asarray(
                (g.gathered(given) - g.gathered(after)) / (rate or 1.0)
            )
            for g in groups
            if all(m in after and after[m].shape == given[m].shape for m in g.members)
        }

    sized = {g.array.shape for g in groups}
    kept = {
        k for k, v in seen.quantities.items()
        if (k[3] == 0 and {v.shape, v.shape[::-1]} & sized) or (v.ndim == 1 and seen.whole(k))
    }  # fmt: skip

    def variables() -> dict[str, Array]:
        given = values() | zeros
        found, after = seen.replay.run(given, kept, paths)
        return {
            _told(key): value
            for key, value in found.items()
            if any(goes_by(g.gathered(given) - g.gathered(after), value) for g in groups)
        }

    def computed(key: Quantity) -> Array:
        return seen.replay.run(values(), {key})[0][key]

    def standard(loss: str) -> float:
        return losses.value(loss, computed(out), target)

    def own(key: Quantity) -> float:
        return float(computed(key).reshape(()))

    many, outputs = _sizes(target)
    loop = seen.replay.turn.loop
    where = f"{Path(loop.filename).name}:{loop.node.lineno}"
    function = f"{loop.cls}.{loop.function}" if loop.cls else loop.function
    within = f"in {function} " if function else ""
    turn = "one turn of the loop"
    if isinstance(loop.node, ast.FunctionDef):
        turn, within = "a call of", f"{function} "
    how = run if loop.filename.startswith("<") else f"{run}, {turn} {within}({where})"
    how += f": outputs are {_told(out)}, targets {_told(y)}"
    zero = f", {_shown(of_layer(buffers[0]))} at zero" if buffers else ""
    kinds: list[tuple[Callable[[], float], str, Quantity | None]] = [
        (partial(own, key), key[2] if key[2] != RETURNED else key[0].rpartition(".")[2], key)
        for key in _own(seen, [] if told else [INDEX.sub("[*]", m) for m in paths])[:MOST_OWN]
        if not is_difference(key, seen.quantities, target)
    ]
    kinds += [(partial(standard, name), name, None) for name in losses.STANDARD]
    for loss, name, key in kinds:
        mine = key is not None
        try:
            if not np.isfinite(loss()):
                continue
        except (Exception, SystemExit):
            continue
        slopes: dict[str, Any] = {}
        found = places(net, "net")
        compared = compare(found, loss, backward, net, (), slopes)
        shares = {} if compared.factor else decay(net, slopes, backward())
        also = ""
        if shares:
            loss, slopes = partial(with_decay, loss, net, shares), {}
            also = ", which takes off a share of weights (decay), counted in the loss"
        certain = not mine or bool(compared.partly or shares or compared.factor)
        if not certain and not names.WEAK.fullmatch(names.plain(name)):
            certain = key is not None and is_before(seen, key)
        common: dict[str, Any] = {
            "own": mine, "loss_name": name, "batched": many > 1, "examples": many,
            "certain": certain, "outputs": outputs, "slopes": slopes, "variables": True,
            "printed": mine,
        }  # fmt: skip
        held = (seen.replay.function, seen.replay.root)
        yield Reading(
            net, found, loss, Traced(backward, held), (),
            f"{how}, gradient from the update{zero}{also}",
            step=True, rated=rate is not None, functions=seen.codes, **common,
        )  # fmt: skip
        if buffers and variables():
            used = f"{how}, gradient from its variables, which the update goes by"
            yield Reading(
                net, places(net, "net"), loss, Traced(variables, held), (), used, **common
            )


def _sizes(target: Array) -> tuple[int, int]:
    """How many examples and outputs targets are of; one example unless they have rows."""
    if np.ndim(target) < 2:
        return 1, int(np.size(target))
    rows, columns = np.shape(target)[0], int(np.size(target)) // max(1, np.shape(target)[0])
    return max(rows, columns), min(rows, columns)


def _told(key: Quantity) -> str:
    if key[0] == STATE:
        return _shown(key[2])
    where = "" if key[0] in (TURN, HELD) else f"{key[0]}."
    last = " at last" if key[3] == -1 else ""
    return f"what {key[0]} returns{last}" if key[2] == RETURNED else f"{where}{key[2]}"


def _own(seen: Observed, patterns: Sequence[str]) -> list[Quantity]:
    """Numbers that are called a loss and depend on all weights."""
    found: list[Quantity] = []
    for key, value in seen.quantities.items() if patterns else ():
        word = key[2] if not key[2].startswith(RETURNED) else key[0].rpartition(".")[2]
        if value.size != 1 or key[3] != 0 or not seen.stable(key):
            continue
        if not names.LOSS.fullmatch(names.plain(word)) or names.DERIVED.search(word):
            continue
        if all(key in seen.depends.get(p, ()) for p in set(patterns)):
            found.append(key)
    return found


def _rate(seen: Observed) -> float | None:
    """The one number that is called a learning rate."""
    numbers = [(k[2], float(v)) for k, v in seen.base.items() if v.ndim == 0]
    numbers += [(attribute(n), float(v)) for n, v in seen.before.items() if np.ndim(v) == 0]
    for owner in seen.replay.owners:
        held = (item for kind in type(owner).__mro__[:-1] for item in vars(kind).items())
        numbers += [(name, value) for name, value in held if isinstance(value, float)]
    known = names.rates([name for name, value in numbers if value])
    found = {value for name, value in numbers if value and name in known}
    return next(iter(found)) if len(found) == 1 else None
