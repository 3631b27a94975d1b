"""Faults to plant in what decides about numbers: each must be noticed by the tests of its module.

A fault is (what, old, new): the text `old` of a module, which occurs once, becomes `new`.
"""

from tests.helpers.mutations_of_checking import OF_CHECKING, Module

COMPARISON = Module(
    "implementations/checking/comparison.py",
    ("tests/implementations/checking/test_comparison.py",),
    (
        ("entries at 1e-9", "ELEMENTWISE_BOUND = 1e-11", "ELEMENTWISE_BOUND = 1e-9"),
        ("float32 at 1e-4", '"float32": 1e-5', '"float32": 1e-4'),
        ("float64 at 1e-10", '"float64": 1e-12', '"float64": 1e-10'),
        ("tf32 tenfold", '"tf32": 1.2e-2', '"tf32": 1.2e-1'),
        ("norm of tf32 doubled", '"tf32": 0.13', '"tf32": 0.26'),
        ("norm of bfloat16 doubled", '"bfloat16": 0.27', '"bfloat16": 0.54'),
        ("more digits unseen", "TOO_GOOD, TOO_GOOD_FROM = 0.98", "TOO_GOOD, TOO_GOOD_FROM = 1.0"),
        ("few entries betray", "0.98, 200", "0.98, 2"),
        ("floor of 1", "return float(info.smallest_normal) / float(info.eps)", "return 1.0"),
        ("any tensor for all", "and all(tensor.reason is None", "and any(tensor.reason is None"),
        ("nothing agrees", "return bool(self.tensors) and all", "return all"),
        ("undecided disagrees", "not None and not self.undecided", "not None"),
        ("undecided comes first", "key=lambda tensor: tensor.undecided)", "key=lambda tensor: 0)"),
        ("entries unheld", 'terms if dtype == "float64" and accuracy is None else None', "None"),
        ("any dtype", "if result.dtype != np.dtype(dtype)", "if False"),
        ("NaN accepted", "if not np.isfinite(result).all()", "if False"),
        ("NaN of the reference", "if not np.isfinite(ref).all()", "if False"),
        ("tolerance doubled", "difference - allowed, 0", "difference - 2 * allowed, 0"),
        ("tolerance for every rule", "and spec.optimizer not in LINEAR", ""),
        ("no tolerance", "            tolerance = slack(", "            _ = slack("),
        ("accuracy for outputs", '(accuracy if key in ("grads", "updated") else None)', "accuracy"),
        ("norm of the whole", "np.asarray(side, np.float64) - start for", "np.asarray(side) for"),
        (
            "norm unheld",
            "if not error <= limit:\n            reason",
            "if False:\n            reason",
        ),
        ("precision without effect", '> BOUNDS["float32"]', ">= 0"),
        ("unchanged entries tell", "!= np.asarray(old, np.float32)", "!= np.nan"),
        ("no (1,)", "and result.shape == (1,)", "and False"),
        ("missing layer", "elif len(result) != len(ref)", "elif False"),
    ),
)
REFERENCE = Module(
    "implementations/checking/reference.py",
    (
        "tests/implementations/checking/test_reference.py",
        "-k",
        "not central and not with_exact",
    ),
    (
        (
            "slack doubled",
            "return learning_rate * np.maximum(",
            "return 2 * learning_rate * np.maximum(",
        ),
        ("slack to one side", "np.abs(rule([dp]) - rule([dp - off])), ", "0.0, "),
        ("nothing is left of a sum", "LEFT = 3e-4", "LEFT = 0.0"),
        ("all of a sum", "LEFT = 3e-4", "LEFT = 1.0"),
        ("kinks a sixteenth", "4 * eps * (np.abs(a)", "0.25 * eps * (np.abs(a)"),
        ("kinks sixteenfold", "4 * eps * (np.abs(a)", "64 * eps * (np.abs(a)"),
        ("kinks of one unit", ").all(axis=1)", ").any(axis=1)"),
        ("no kinks of leaky relu", '("relu", "leaky_relu", "unit_step")', '("relu", "unit_step")'),
        ("rate a tenth", "4 * np.max(np.abs(p)) /", "0.4 * np.max(np.abs(p)) /"),
        ("least rate", "max(ratios, default", "min(ratios, default"),
        ("rate unbounded", "1.0, 1e6)", "1.0, 1e30)"),
        ("signed terms", "felt = [np.abs(inputs[0])]", "felt = [inputs[0]]"),
        ("terms without decay", "terms[:rows] += spec.l2", "terms[:rows] += 0"),
        ("terms of sigmoid", "_logistic(z) + _logistic(z) ** 2", "_logistic(z)"),
        ("gradient without decay", "gradient[:rows] += spec.l2 *", "gradient[:rows] += 0 *"),
        (
            "bias decayed",
            "spec.decay), after(b, step_b, 0.0)",
            "spec.decay), after(b, step_b, spec.decay)",
        ),
        (
            "adagrad is linear",
            '("sgd", "momentum", "nesterov")',
            '("sgd", "momentum", "nesterov", "adagrad")',
        ),
        (
            "half at the kink",
            '"relu": lambda z: np.heaviside(z, 0.0)',
            '"relu": lambda z: np.heaviside(z, 0.5)',
        ),
        ("float32 held", "if exact else None,", "if True else None,"),
        (
            "masks forgotten",
            "a = activation_value(name, zs[-1]) * _kept(mask)",
            "a = activation_value(name, zs[-1])",
        ),
        ("biased average", "/ sum(weights)", "/ len(weights)"),
        (
            "nesterov is momentum",
            "history[-1] + MOMENTUM * _velocity(history)",
            "_velocity(history)",
        ),
    ),
)
INTERVALS = Module(
    "benchmarks/clock/intervals.py",
    ("tests/benchmarks/clock/test_intervals.py",),
    (
        ("90 %", "CONFIDENCE = 0.95", "CONFIDENCE = 0.90"),
        ("four processes", "LEAST_PROCESSES = 5", "LEAST_PROCESSES = 4"),
        ("six processes", "LEAST_PROCESSES = 5", "LEAST_PROCESSES = 6"),
        ("10 % are no difference", "NO_DIFFERENCE = 1.05", "NO_DIFFERENCE = 1.10"),
        ("one side", "min(len(first), len(second))", "max(len(first), len(second))"),
        ("spread of all", "in logs) / (len(logs) - 1)", "in logs) / len(logs)"),
        ("variance for error", "math.sqrt(spread / len(logs))", "math.sqrt(spread)"),
        ("freedom of one", "freedom = variance**2", "freedom = 4 + 0 * variance**2"),
        (
            "variances apart",
            "variance = error_a**2 + error_b**2",
            "variance = max(error_a, error_b) ** 2",
        ),
        ("no variance", "if variance == 0:", "if False:"),
        ("pairs unpaired", "if len(first) != len(second):", "if True:"),
        ("pairs turned round", "a / b if b else", "b / a if b else"),
        ("faster at once", "self.high < 1 / NO_DIFFERENCE", "self.low < 1 / NO_DIFFERENCE"),
        ("slower at once", "self.low > NO_DIFFERENCE", "self.high > NO_DIFFERENCE"),
        ("mean of times", "return [math.log(median)", "return [(median)"),
    ),
)
TIMER = Module(
    "benchmarks/clock/timer.py",
    ("tests/benchmarks/clock/test_timer.py",),
    (
        ("20 blocks at most", "MOST_BLOCKS = 200", "MOST_BLOCKS = 20"),
        ("half a block left", "RESIDUAL_NS = 0.05", "RESIDUAL_NS = 0.5"),
        ("1 ms left", "0.05, 100_000", "0.05, 1_000_000"),
        ("a core more", "BUSY_SLACK = 0.1", "BUSY_SLACK = 1.0"),
        ("turns are cores", " and not confined(most)", ""),
        ("steady at 50 %", "STEADY = 0.05", "STEADY = 0.5"),
        ("never steady", "MOST_UNSTEADY = 3", "MOST_UNSTEADY = 30"),
        ("long is 100 blocks", "LONG = 10 ", "LONG = 100 "),
        ("long at once", "CERTAINLY_LONG = 100", "CERTAINLY_LONG = 10"),
        ("growth of 40", "TREND_PARTS, TREND = 5, 4.0", "TREND_PARTS, TREND = 5, 40.0"),
        ("two parts", "TREND_PARTS, TREND = 5", "TREND_PARTS, TREND = 2"),
        ("collector runs", "        gc.disable()\n", "        pass\n"),
        ("start in the clock", "    work.synchronize(start)\n    outside", "    outside"),
        ("wait not timed", "work.synchronize(result)\n        ended", "ended"),
        (
            "residual of waiting",
            "residual = max(0, again - waited - 2 * nothing - delayed)\n        if",
            "residual = max(0, again - waited - delayed)\n        if",
        ),
        ("second looks only", "work.copies is not None and residual", "False and residual"),
        (
            "residual once",
            "return statistics.median(self.residual_ns) > _allowed",
            "return max(self.residual_ns) > _allowed",
        ),
        (
            "mean block",
            "return statistics.median(self.elapsed_ns) / self.calls",
            "return statistics.fmean(self.elapsed_ns) / self.calls",
        ),
        ("no warm block", "    if warm:\n        block(work, max(1, calls // 5), clock)\n", ""),
        ("two blocks suffice", "least: int = 3,", "least: int = 2,"),
        (
            "a missing wait is seen once",
            "(len(blocks.elapsed_ns) < SUSPECTED and",
            "(len(blocks.elapsed_ns) < 1 and",
        ),
        (
            "budget exceeded",
            "spent + spent / max(1, len(blocks.elapsed_ns)) <= budget_ns",
            "spent <= budget_ns",
        ),
        ("results kept", "        blocks.last_result = blocks.last_seen = None\n", ""),
        ("compilation ignored", "        if self.compiled:", "        if False:"),
        ("stops count", "round((after[0] - before[0]) * inside)", "after[0] - before[0]"),
        (
            "error of one block",
            "math.sqrt(sum(len(blocks.elapsed_ns) for blocks in repetitions))",
            "1",
        ),
        (
            "tenfold growth unbound",
            "min(10 * calls, max(calls + 1, growth), work.most_calls)",
            "max(calls + 1, min(growth, work.most_calls))",
        ),
    ),
)
LINES = Module(
    "benchmarks/records/lines.py",
    ("tests/benchmarks/records/test_journal.py",),
    (("NaN read", "parse_constant=_refused", "parse_constant=None"),),
)
JOURNAL = Module(
    "benchmarks/records/journal.py",
    ("tests/benchmarks/records/test_journal.py",),
    (
        ("no fsync", "            os.fsync(self._file.fileno())\n", ""),
        ("half a record stays", "            self._file.truncate(began)\n", ""),
        ("no lock", "        self._lock()\n        self.saved = 0", "        self.saved = 0"),
        ("torn line stays", "self._file.truncate(len(self._lines[0]))", "pass"),
        ("overwritten", 'else "xb"', 'else "wb"'),
        ("unchecked", "schema.check(record), allow_nan", "record, allow_nan"),
        (
            "one write",
            "            while data:\n                data = data[",
            "            if data:\n                data = data[",
        ),
        ("saved uncounted", "self.saved += record", "self.saved += 0 * record"),
        ("saved forgotten", 'self.saved = text.count(b\'"record": "outcome"\')', "pass"),
        ("retry throws away", 'if judged or record["status"] != OK:', "if True:"),
        ("retry keeps what was judged", 'if judged or record["status"] != OK:', "if not judged:"),
        ("proof of what was judged", "self.proofs.pop(name, None)", "pass"),
        ("nothing was wrong", "self.tried_again[name] = judged[-1]", "pass"),
        ("state of all", "range(self._looked, self._next)", "range(self._next)"),
        ("retried is complete", "            self.complete = False\n", ""),
        ("least product", "= max(best.get(key, 0.0)", "= min(best.get(key, 1e99)"),
        ("least bandwidth", "return max(self", "return min(self"),
        ("most of a call", "return min(self", "return max(self"),
        (
            "bandwidth of others",
            'record["device"], record["threads"], record["arithmetic"]\n',
            'where[1], record["threads"], record["arithmetic"]\n',
        ),
        ("newer schema read", 'run["schema"] > SCHEMA', 'run["schema"] > 2 * SCHEMA'),
        (
            "processes of the plan",
            'self.processes = record["processes"]',
            'self.processes = self.processes or record["processes"]',
        ),
        ("warning lost", "            journal.warnings.append(f", "            str(f"),
    ),
)
QUALITY = Module(
    "benchmarks/records/quality.py",
    ("tests/benchmarks/records/test_quality.py",),
    (
        ("30 % is narrow", "NARROW = 0.03", "NARROW = 0.3"),
        ("a factor of 20", "FACTOR = 2.0", "FACTOR = 20.0"),
        ("others take all", "DISTURBED, LOST = 0.05, 0.25", "DISTURBED, LOST = 0.95, 0.96"),
        ("all blocks count", "if seconds <= median", "if True"),
        (
            "no interval is good",
            '        yield NOISY, f"no interval',
            '        yield GOOD, f"no interval',
        ),
        ("trainings alike", "> FACTOR and alike", "> FACTOR"),
    ),
)
ROWS = Module(
    "benchmarks/records/rows.py",
    (
        "tests/benchmarks/records/test_rows.py",
        "tests/benchmarks/worker/test_ceilings.py",
        "-k",
        "not products_of_an",
    ),
    (
        ("too fast at 12", "TOO_FAST = 1.2", "TOO_FAST = 12"),
        ("median tenth", "(len(times) - 1) // 10", "(len(times) - 1) // 2"),
        ("no ceiling", "if ceiling and rate", "if False and rate"),
        ("failures ignored", 'if record["status"] != OK:', "if False:"),
        (
            "median of processes",
            "return statistics.geometric_mean(self.process_medians)",
            "return max(self.process_medians)",
        ),
        ("most of a part", "return min(values, default=None)", "return max(values, default=None)"),
        ("best gate", 'gate=max((r["gate"]', 'gate=min((r["gate"]'),
        ("rest below 0", "max(0.0, rest)", "rest"),
        ("one speed", "LEAST_CPU_SPEEDS = 10", "LEAST_CPU_SPEEDS = 1"),
        ("speeds of other work", "if len(kinds) != 1 or", "if"),
        ("speed turned round", "return after / before", "return before / after"),
        ("unknown is equal", '        if "unknown" in (a, b):', "        if False:"),
        (
            "mean of blocks",
            'return statistics.median(record["elapsed_ns"])',
            'return statistics.fmean(record["elapsed_ns"])',
        ),
        ("processes in one", 'record.get("process", number)', "0"),
        ("memory of nobody", "host if isinstance(host, int) else None", "None"),
        ("new memory once", "given = statistics.median(each)", "given = max(each)"),
        ("parts of any length", "EXCEEDS = 1.05", "EXCEEDS = 1.5"),
        ("first call lost", 'if r.get("first_call_ns")), {}', "if False), {}"),
    ),
)
DETAILS = Module(
    "reports/document/details.py",
    ("tests/reports/document/test_details.py",),
    (
        (
            "slowest launch",
            'duration(low) if quantity in ("launch"',
            'duration(high) if quantity in ("launch"',
        ),
        ("least product", 'f"{digits(high / 1e9)}', 'f"{digits(low / 1e9)}'),
    ),
)
PROOFS = Module(
    "benchmarks/runs/proofs.py",
    ("tests/benchmarks/runs/test_proofs.py",),
    (
        (
            "slow blocks only",
            "return seconds <= rows.undisturbed",
            "return seconds > rows.undisturbed",
        ),
        ("every block", "return seconds <= rows.undisturbed(self.times[key])", "return True"),
        ("none is drawn", "drawn = not SECRET.randrange(len(times))", "drawn = False"),
        ("all that was drawn", "                other.drawn = False\n", "                pass\n"),
        ("files stay", "        path.unlink(missing_ok=True)\n", "        pass\n"),
        ("any long one", "now = faster and (last", "now = (last"),
        ("requests beaten", "if not (other.drawn or other.requests)", "if not other.drawn"),
        ("long requests dropped", "if one.requests or (now", "if (now"),
        ("long ones at once", "(last or soon)", "True"),
        ("the longest soon", " and seconds < LONGEST_SECONDS", ""),
        ("slowest verdict", "self.rate = max(self.rate, ", "self.rate = min(self.rate or 1e99, "),
        ("all of the interrupted", "if end < within]", "]"),
        ("nothing is wrong", 'if verdict["reason"]:', "if False:"),
        ("never due", "time.monotonic() > self.judged + EVERY_SECONDS", "False"),
        ("one seed", "SECRET.getrandbits(63), random", "7, random"),
    ),
)
CLOCKS = Module(
    "benchmarks/clock/agreement.py",
    ("tests/benchmarks/runs/test_clocks.py",),
    (
        ("half of a block", "SHARE = 0.1  #", "SHARE = 0.5  #"),
        (
            "ready for long",
            "READY_SHARE, READY_NS = 0.3, 2_000_000",
            "READY_SHARE, READY_NS = 3.0, 0",
        ),
        ("any late block", "if min(beyond) > late", "if max(beyond) > late"),
        ("others ignored", "if others > (SHARE", "if False and others > (SHARE"),
        ("helpers forgotten", "(SHARE + helpers)", "SHARE"),
        ("everybody has helpers", "helpers: int = 0) -> str:", "helpers: int = 2) -> str:"),
        ("waiting counts", "ours - waited) for", "ours) for"),
    ),
)
ROWS_OF_BLOCKS = Module(
    "benchmarks/runs/clocks.py",
    ("tests/benchmarks/runs/test_clocks.py",),
    (("rows apart", "((case.id, process), (case.id, None))", "((case.id, process),)"),),
)
BLOCKS = Module(
    "benchmarks/judge/blocks.py",
    ("tests/benchmarks/judge/test_blocks.py",),
    (
        ("along a gradient", "ALONG = 3e-4", "ALONG = 3e-3"),
        ("flips are not tried", "MOST_TRIALS, HOPELESS = 120", "MOST_TRIALS, HOPELESS = 0"),
        ("rounding grows with n", "rounding = eps / 2 * count**0.5", "rounding = eps / 2 * count"),
    ),
)
PARTS = Module(
    "benchmarks/judge/networks.py",
    ("tests/benchmarks/judge/test_proofs.py",),
    (
        ("any number of parts", "if len(passed) != len(lengths) - 1:", "if False:"),
        ("the first part", "if any(check.reason for check in checks):  #", "if True:  #"),
        (
            "one part",
            "lengths = parts(spec, workload.batch_size, each, calls)",
            "lengths = [len(order)]",
        ),
        ("the same start", "before,\n                order", "shown[0],\n                order"),
    ),
)
DRAWS = Module(
    "benchmarks/cases/draws.py",
    ("tests/benchmarks/cases/test_draws.py",),
    (
        ("one factor", "(len(p), *[1] * (p.ndim - 1))", "[1] * p.ndim"),
        ("one order", "random = self.random(-1, calls)", "random = np.random.default_rng(0)"),
        (
            "pairs again",
            "return batches * most_weights(params)",
            "return 2 * batches * most_weights(params)",
        ),
    ),
)
PLACED = Module(
    "benchmarks/worker/placed.py",
    ("tests/benchmarks/worker/test_placed.py",),
    (
        ("ahead is free", "            self.prepares.add(operation)\n", "            pass\n"),
        ("half a block ahead", "PREPARED_SHARE = 0.1", "PREPARED_SHARE = 0.5"),
        ("made together", ' or (self.own_waiting and self.device == "cpu")', ""),
        (
            "everything is ours",
            "return ours and module is not None",
            "return True or module is not None",
        ),
        ("blocks of any length", "most_calls=most_calls(", "most_calls=7 * most_calls("),
        ("buffers unseen", "        self.overwrites.add(operation)\n", ""),
        ("late is free", "            self.converts.add(operation)\n", "            pass\n"),
    ),
)
ARRAYS = Module(
    "benchmarks/worker/arrays.py",
    ("tests/benchmarks/worker/test_arrays.py",),
    (
        ("objects are numbers", "and leaf.dtype.hasobject", "and False"),
        ("sum of bits", "mixed ^ (mixed >> np.uint64(29))", "mixed & np.uint64(0)"),
        (
            "last number unseen",
            "values[(len(values) - 1) % step :: step]",
            "values[: len(values) // 2]",
        ),
    ),
)
OF_PROOFS = (PROOFS, CLOCKS, ROWS_OF_BLOCKS, BLOCKS, PARTS, DRAWS, PLACED, ARRAYS)
MODULES = (
    COMPARISON,
    REFERENCE,
    INTERVALS,
    TIMER,
    LINES,
    JOURNAL,
    QUALITY,
    ROWS,
    DETAILS,
    *OF_PROOFS,
    *OF_CHECKING,
)
