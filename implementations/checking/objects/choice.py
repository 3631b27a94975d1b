"""Which of all fits stands for a parameter: by name and place first, then by value."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from samegrad.implementations.checking.objects import analogy, names
from samegrad.implementations.checking.objects.matching import (
    FEW,
    KEPT,
    PINNED,
    RETURNED,
    UPDATE,
    Candidate,
    Fit,
)


def choose(
    paths: Sequence[Sequence[str]],
    shapes: Sequence[tuple[int, ...]],
    found: list[list[Fit]],
    candidates: Sequence[Candidate],
) -> list[Fit | None]:
    """What is taken for each parameter's gradient, or None; what is meant for it is named so.

    Args:
        paths: of each parameter.
        shapes: likewise.
        found: fits of each; those that a place names are marked.
        candidates: all of them.
    """
    for i, there in analogy.placed(paths, shapes, found, candidates).items():
        found[i] = [replace(f, named=True) if _is_among(f, there) else f for f in found[i]]
    _in_one_array(found)
    taken = [f for of in found for f in of if f.right]
    any_right = any(f.values.size >= FEW for f in taken)
    chosen = [_chosen([f for f in of if not _is_taken(f, taken)], any_right) for of in found]
    return [
        _forgotten(i, paths, found[i], chosen) if f is None else f for i, f in enumerate(chosen)
    ]


def _forgotten(
    i: int, paths: Sequence[Sequence[str]], of: Sequence[Fit], chosen: Sequence[Fit | None]
) -> Fit | None:
    """Zeros that backward() leaves in the place of a bias' gradient, beside that of its weights.

    Both of a layer are frozen, or none.
    """
    beside = [
        f
        for j, f in enumerate(chosen)
        if f is not None and f.right and f.named and names.of_one_layer(paths[i][0], paths[j][0])
    ]
    zeros = [f for f in of if f.named and f.form == "" and f.wrong and not f.values.any()]
    return zeros[0] if beside and zeros else None


def _is_among(of: Fit, there: Sequence[Candidate]) -> bool:
    return not of.form.startswith("[") and any(of.candidate is c for c in there)


def _in_one_array(found: Sequence[list[Fit]]) -> None:
    """Of a flat array some pieces of which are right gradients all are meant for gradients."""
    flat = {id(f.candidate) for of in found for f in of if f.right and _is_piece(f)}
    for of in found:
        of[:] = [
            replace(f, named=True) if _is_piece(f) and id(f.candidate) in flat else f for f in of
        ]


def _is_piece(of: Fit) -> bool:
    return of.form.startswith("[") and of.candidate.values.size == max(of.candidate.values.shape)


def _chosen(of: list[Fit], any_right: bool) -> Fit | None:
    """The fit that stands for a parameter: right ones of its own name, right ones, its own.

    Args:
        of: its fits.
        any_right: whether there is a right gradient, of whichever parameter. Then what has no name
            and is a constant times this one's, is no gradient: an error of the outputs, say.
    """
    explicit = [f for f in of if f.candidate.origin != UPDATE]
    # Zeros that backward() leaves alone: no gradient was computed, of a frozen layer, say.
    explicit = [
        f for f in explicit if f.right or f.candidate.computed or (f.named and f.values.any())
    ]
    if any(f.candidate.origin == UPDATE for f in of):
        explicit = [f for f in explicit if f.right or not _is_cleared(f)]
    own = [f for f in explicit if f.named]
    right = next((f for f in of if f.right), None)
    # What is returned counts before what is kept: it is what the caller goes on with.
    returned = [f for f in own if f.candidate.origin in (RETURNED, PINNED)]
    if returned and not any(f.right for f in returned) and any(f.decided for f in returned):
        own = returned
    elif right is not None and (right.named or not own):
        return right
    proportional = [f for f in of if f.constant is not None and f.values.size >= FEW]
    updates = [f for f in of if f.candidate.origin == UPDATE]
    for choice in (
        [f for f in own if f.right],
        [f for f in own if f.constant is not None],
        own,
        [f for f in proportional if f.candidate.origin == RETURNED],
        [f for f in updates if f.constant is not None],
        [
            f
            for f in proportional
            if f.candidate.origin != UPDATE and f.candidate.computed and not (updates or any_right)
        ],
        updates,
        [f for f in explicit if _returned_for_it(f)],
    ):
        if choice:
            # What is wrong in every form is taken as it stands: a chance is no transposition.
            return min(
                choice, key=lambda f: (f.constant is None, not f.constant and f.form != "", f.error)
            )
    return None


def _is_cleared(of: Fit) -> bool:
    """Whether it is a buffer of zeros after a call that has changed the parameter by it."""
    return of.candidate.origin == KEPT and not of.values.any()


def _returned_for_it(of: Fit) -> bool:
    c = of.candidate
    return c.origin == RETURNED and c.computed and not of.form.startswith("[")


def _is_taken(of: Fit, taken: Sequence[Fit]) -> bool:
    """Whether what is wrong here, and has no name that says it belongs here, is right elsewhere."""
    if of.right or of.named or not of.decided:
        return False
    part = of.form.startswith("[")
    return any(
        same_numbers(of, right)
        or (part and right.candidate is of.candidate and not right.form.startswith("["))
        for right in taken
    )


def same_numbers(a: Fit, b: Fit) -> bool:
    """Whether two fits are of one array, in whichever form."""
    return a.candidate is b.candidate and np.array_equal(
        np.sort(a.values, None), np.sort(b.values, None)
    )
