"""Faults to plant in the modules of `checking` that judge conventions, slopes and drawn problems.

A fault is (what, old, new): the text `old` of a module, which occurs once, becomes `new`.
"""

from typing import NamedTuple


class Module(NamedTuple):
    """A module, and what pytest is told to run for it.

    Attributes:
        file: relative to the repository.
        tests: arguments of pytest.
        faults: (what, old, new).
    """

    file: str
    tests: tuple[str, ...]
    faults: tuple[tuple[str, str, str], ...]


SLOPES = Module(
    "implementations/checking/slopes.py",
    ("tests/implementations/checking/test_slopes.py",),
    (
        ("errors without rounding", "(value - quotient) + left + rounding", "(left)"),
        ("kinks are curves", "+ left + rounding", "+ rounding"),
        ("one side alone", "(above - below) / (2 * step)", "(above - here) / step"),
        ("entry stays moved", "slot.put(entry, float(before.flat[entry]))\n", "pass\n"),
        ("float32 unseen", "if (single == values).all() and", "if False and"),
        (
            "bound of float64 always",
            "return max(BOUND, min(DIGITS_KEPT",
            "return BOUND or max(min(0",
        ),
        (
            "nothing when late",
            "LEAST_DIRECTIONS, LEAST_ENTRIES = 2, 3",
            "LEAST_DIRECTIONS, LEAST_ENTRIES = 0, 0",
        ),
        (
            "every slope is trusted",
            "return self.errors <= bound",
            "return 0 * self.errors <= bound",
        ),
        ("NumPy's errors escape", ', np.errstate(all="ignore"):', ":"),
    ),
)
PREDICTIONS = Module(
    "implementations/checking/predictions.py",
    ("tests/implementations/checking/test_conventions.py", "-k", "predicted or clip_at or size_of"),
    (
        (
            "slope without the epsilon",
            "np.log(p + size), p / (p + size)",
            "np.log(p + size), p / p",
        ),
        ("slope beyond a clip", "np.where(low | high, 0.0, 1.0)", "np.where(low | high, 1.0, 1.0)"),
        ("erf's slope without the bell", " + z * bell", ""),
        ("decay of ours", "decay * p.spec.l2 * np.asarray", "p.spec.l2 * np.asarray"),
        ("decay without its half", "* spec.l2 / 2", "* spec.l2"),
        ("loss without its factor", "data * terms.loss", "terms.loss"),
        ("both classes have one slope", "(1 - y) * p * by_q - y * q", "(1 - y) * p - y * q"),
        ("no power of the outputs", "** of_outputs", "** 0"),
        ("one rounding for all", "np.finfo(spec.dtype).eps /", "np.finfo(np.float64).eps /"),
        ("size by one halving", "HALVES = 200", "HALVES = 1"),
        (
            "size as measured only",
            "[*(each for each in written if abs",
            "[*(each for each in () if abs",
        ),
    ),
)
CONVENTIONS = Module(
    "implementations/checking/conventions.py",
    (
        "tests/implementations/checking/test_conventions.py",
        "tests/implementations/checking/test_students.py",
        "-k",
        "is_a_note or fault_beside or size_of or outputs_may_be_log_softmax",
    ),
    (
        ("one problem suffices", "if all(comparison.agrees for", "if any(comparison.agrees for"),
        ("no kink of 1", "KINKS = (0.5, 1.0)", "KINKS = (0.5,)"),
        ("no sums", '(1.0, 1, 0): "summed over the batch",', ""),
        ("float64 is no float32", "return leaf.astype(np.float32) if", "return leaf if"),
        ("sums are factors", '"summed" if data[1] == 1', '"summed" if data[1] == 2'),
        ("no roundings", "return (False, True) if len", "return (False,) if len"),
        ("size of any problem", 'each[0].spec.dtype == "float32", -each[2]', "0"),
        ("logits only", 'for name in ("softmax", "log_softmax", "sigmoid"):', "for name in ():"),
        ("one gelu", "return exact < ours", "return False"),
        (
            "slope is said wrongly",
            '"its derivative" if convention.in_slope',
            '"its derivative" if True',
        ),
        ("no decay of others", '{**DECAYS, data: ""}', '{data: ""}'),
    ),
)
REPEATS = Module(
    "implementations/checking/repeats.py",
    ("tests/implementations/checking/test_repeats.py", "-k", "not by_the_command"),
    (
        ("all results are near", "return bool(off <= SAME[dtype] * largest)", "return True"),
        ("overwriting unseen", "for name in result.overwritten", "for name in ()"),
        ("stale results unseen", "if not comparison.disagrees:", "if True:"),
        ("outputs may change", 'if name != "grads"', 'if name == "grads"'),
        ("a ratio unnamed", "return ratio if near(", "return None if near("),
        ("sums unnamed", "near(second, first + right, dtype)", "False"),
        ("numbers of texts", 'if array.dtype.kind in "fiub" else None', ""),
    ),
)
STEPS = Module(
    "implementations/checking/steps.py",
    ("tests/implementations/checking/test_steps.py",),
    (
        ("any steps", "BOUND = 1e-8", "BOUND = 10.0"),
        ("one step", "STEPS = 4", "STEPS = 1"),
        ("history forgotten", "[*history, gradient(at)] if keeps", "[gradient(at)] if keeps"),
        (
            "gradients of the first params",
            '"", problem.spec, params',
            '"", problem.spec, problem.params',
        ),
        ("full rate", "learning_rate / SMALLER)", "learning_rate)"),
        ("steps at a kink", "return not problem.name and", "return"),
        ("steps in float32", 'problem.spec.dtype == "float64"', "True"),
    ),
)
DRAWN = Module(
    "implementations/checking/drawn.py",
    ("tests/implementations/checking/test_drawn.py", "-k", "seed_repeats or drawn_problems"),
    (
        ("batches of 90", "(65, 200))", "(65, 90))"),
        ("narrow networks", "(129, 300))", "(65, 128))"),
        ("six layers", "(5, 6), (7, 8))", "(5, 6))"),
        ("any order", "return sorted(drawn, key=cost)", "return drawn"),
        ("one seed", "default_rng([seed, 2])", "default_rng(2)"),
        ("dropout for all", "any(p.masks is not None for p in accepted)", "True"),
        ("decay for all", "any(p.spec.l2 for p in accepted)", "True"),
        ("every depth", "if d[0] in layers or", "if d or"),
        ("every loss", '"loss": seen("loss"),', '"loss": ("mse", "cross_entropy"),'),
    ),
)
MATCHING = Module(
    "implementations/checking/objects/matching.py",
    ("tests/implementations/checking/objects/test_check.py",),
    (
        ("constants unseen", "NO_FACTOR = 2e-5", "NO_FACTOR = 1e9"),
        ("nothing is wrong", "wrong=not error <= bound", "wrong=False"),
        (
            "names ignored",
            "bool(candidate.of) or names.pairs(list(paths[index]), candidate.name)",
            "False",
        ),
    ),
)
JUDGE = Module(
    "implementations/checking/objects/judge.py",
    ("tests/implementations/checking/objects/test_check.py",),
    (
        ("any rate", "elif known.rate is not None and not of_rate:", "elif False:"),
        ("rates apart", "elif not known.same(c, usual) and not of_rate:", "elif False:"),
        ("uphill", "        if c < 0:", "        if False:"),
        ("no common constant", "return None if known.same(first, 1.0) else first", "return None"),
        (
            "decay in an update unseen",
            "    _decayed(judged, measured, known)\n    found",
            "    found",
        ),
        (
            "another rule is wrong",
            "return (float(rate), float(factor)) if fits else None",
            "return None",
        ),
        (
            "missing gradient is right",
            "return replace(plain, verdict=NOT_CHECKED, reason=said)",
            "return plain",
        ),
    ),
)
OF_CHECKING = (SLOPES, PREDICTIONS, CONVENTIONS, REPEATS, STEPS, DRAWN, MATCHING, JUDGE)
