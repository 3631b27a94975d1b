"""Whose gradient an array is by its place: as others are kept whose gradients are right."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from samegrad.implementations.checking.objects import names
from samegrad.implementations.checking.objects.matching import (
    FEW,
    KEPT,
    RETURNED,
    UPDATE,
    Candidate,
    Fit,
)

MOST_READINGS = 16  # of one path


def placed(
    paths: Sequence[Sequence[str]],
    shapes: Sequence[tuple[int, ...]],
    found: Sequence[Sequence[Fit]],
    candidates: Sequence[Candidate],
) -> Mapping[int, list[Candidate]]:
    """For parameters without a right gradient what lies where theirs is expected.

    `net.layers[2].gW` is the gradient of `net.layers[2].W`, so `net.layers[0].gW`, computed by the
    same code, is meant for that of `net.layers[0].W`. A list of arrays with the shapes of all
    parameters, in their order, is meant for their gradients, whatever its name.

    Args:
        paths: of each parameter.
        shapes: likewise.
        found: fits of each.
        candidates: all of them.
    """
    by_path = {
        tuple(names.parts(path)): c
        for c in candidates
        if c.origin in (KEPT, RETURNED) and c.computed
        for path in (c.name, *c.paths)
    }
    right = [next((f for f in of if f.right and not f.candidate.of), None) for of in found]
    taken = {id(f.candidate) for of in found for f in of if f.right}
    pairs = [
        (tuple(names.parts(p)), tuple(names.parts(g)), of.values.size)
        for i, of in enumerate(right)
        if of is not None
        for p in paths[i]
        for g in (of.candidate.name, *of.candidate.paths)
    ]
    # A number may be right by chance: several must lie beside theirs under the same name.
    beside = Counter((p[-1], g[-1]) for p, g, size in pairs if size == 1 and p[:-1] == g[:-1])
    known = [
        (p, g) for p, g, size in pairs
        if size > 1 or (p[:-1] == g[:-1] and beside[p[-1], g[-1]] > FEW)
    ]  # fmt: skip
    expected: dict[int, list[Candidate]] = {}
    for i, of in enumerate(found):
        if any(f.right for f in of):
            continue
        there = {
            id(by_path[path]): by_path[path]
            for own in paths[i]
            for parameter, gradient in known
            for path in carried_over(parameter, gradient, tuple(names.parts(own)))
            if path in by_path and id(by_path[path]) not in taken
        }
        if len(there) == 1:
            expected[i] = list(there.values())
    if not expected and not any(f.right for of in found for f in of):
        expected = _beside(paths, shapes, by_path) or _parallel(paths, shapes, candidates, by_path)
    return expected or _in_order(shapes, found, candidates)


def _beside(
    paths: Sequence[Sequence[str]],
    shapes: Sequence[tuple[int, ...]],
    by_path: Mapping[tuple[str, ...], Candidate],
) -> dict[int, list[Candidate]]:
    """Of numbers in objects of one kind the one other number that backward() makes in each."""
    if any(shape not in ((), (1,)) for shape in shapes) or len(shapes) < 2:
        return {}
    own = [tuple(names.parts(of[0])) for of in paths]
    others = [{path[-1] for path in by_path if path[:-1] == one[:-1]} for one in own]
    shared = set.intersection(*others) - {one[-1] for one in own}
    if len({one[-1] for one in own}) > 1 or len(shared) != 1:
        return {}
    (name,) = shared
    return {i: [by_path[(*one[:-1], name)]] for i, one in enumerate(own)}


def _parallel(
    paths: Sequence[Sequence[str]],
    shapes: Sequence[tuple[int, ...]],
    candidates: Sequence[Candidate],
    by_path: Mapping[tuple[str, ...], Candidate],
) -> dict[int, list[Candidate]]:
    """What lies in one container as the parameters do in theirs: `net.g["W1"]`, `net.p["W1"]`.

    Only where backward() makes one such container, or one that is called gradients; of others that
    an update goes through nothing is known.
    """
    own = [tuple(names.parts(of[0])) for of in paths]
    own = [path for path, shape in zip(own, shapes, strict=True) if shape not in ((), (1,))]
    if len(own) < 2:
        return {}
    found = []
    for k in range(min(map(len, own)) - 1):
        for name in {path[k] for path in by_path if len(path) > k} - {path[k] for path in own}:
            there = [by_path.get((*path[:k], name, *path[k + 1 :])) for path in own]
            if len({path[k] for path in own}) == 1 and None not in there:
                found.append((k, name))
    said = [(k, name) for k, name in found if names.WHOLE.fullmatch(name)]
    found = said or ([] if any(c.origin == UPDATE for c in candidates) else found)
    if len(found) != 1:
        return {}
    ((k, name),) = found
    expected = {}
    for i, (of, shape) in enumerate(zip(paths, shapes, strict=True)):
        path = tuple(names.parts(of[0]))
        c = by_path.get((*path[:k], name, *path[k + 1 :]))
        if c is not None and c.values.shape == shape:
            expected[i] = [c]
    return expected


def carried_over(
    parameter: tuple[str, ...], gradient: tuple[str, ...], other: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """The paths of another parameter's gradient, if they follow from it as this one's do.

    Args:
        parameter: ("net", "layers", "2", "W").
        gradient: ("net", "layers", "2", "gW").
        other: ("net", "layers", "0", "W").
    """
    if len(other) != len(parameter) or other == parameter:
        return
    options = [_options(k, part, parameter, other) for k, part in enumerate(gradient)]
    for reading in list(product(*options))[:MOST_READINGS]:
        used = {at for _, at in reading}
        # What the gradient's path does not say must be the same for both.
        if all(a == b or k in used for k, (a, b) in enumerate(zip(parameter, other, strict=True))):
            yield tuple(part for part, _ in reading)


def _options(
    at: int, part: str, parameter: tuple[str, ...], other: tuple[str, ...]
) -> list[tuple[str, int]]:
    """What a part of a gradient's path becomes, with the part of the parameter's it comes from."""
    if at < len(parameter) and parameter[at] == part:
        return [(other[at], at)]
    same = [(other[k], k) for k, own in enumerate(parameter) if own == part]
    if part.isdigit():
        return [*same, (part, -1)]
    last = max((k for k, own in enumerate(parameter) if not own.isdigit()), default=-1)
    place = part.find(parameter[last]) if last > 0 else -1
    if same or place < 0:
        return same or [(part, -1)]
    return [(part[:place] + other[last] + part[place + len(parameter[last]) :], last)]


def _in_order(
    shapes: Sequence[tuple[int, ...]],
    found: Sequence[Sequence[Fit]],
    candidates: Sequence[Candidate],
) -> Mapping[int, list[Candidate]]:
    """Of a list with as many arrays as there are parameters, of their shapes, each one's own.

    Those that are right must stand in their own places.
    """
    if len({s for s in shapes if len(s) > 1}) < 2:
        return {}
    lists: dict[tuple[str, ...], dict[str, Candidate]] = {}
    for c in candidates:
        *holder, last = names.parts(c.name)
        if c.origin == KEPT and c.computed and last.isdigit():
            lists.setdefault(tuple(holder), {})[last] = c
    for held in lists.values():
        rows = [held.get(str(k)) for k in range(len(held))]
        if [None if c is None else c.values.shape for c in rows] != list(shapes):
            continue
        right = {i: [f.candidate for f in of if f.right] for i, of in enumerate(found)}
        if all(any(c is rows[i] for c in of) for i, of in right.items() if of):
            return {i: [c] for i, c in enumerate(rows) if c is not None and not right[i]}
    return {}
