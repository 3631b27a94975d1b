"""What a report says first: sentences, computed from the rows."""

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby

import pandas as pd

from samegrad.benchmarks.records.quality import GOOD, NOISY, UNUSABLE
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.commands import PORTABLE
from samegrad.implementations.contract.registry import COMPARED_WITH, SPEED_UPS_OVER, TABLE
from samegrad.reports.data import analysis, versions
from samegrad.reports.data import threads as best_threads
from samegrad.reports.data.report import (
    FEW_PROCESSES,
    Report,
    by_task,
    comparable,
    headline,
    shares,
)
from samegrad.reports.data.values import digits, duration, folded, in_order, metric_text, range_text
from samegrad.reports.document.chapter import Answer
from samegrad.reports.document.forecast import answer

LEAST_SIZES = 3  # batch sizes that make a series
MOST_NETWORKS = 5  # of which a sentence says what is the fastest
MOST_CROSSINGS = 3
LONGEST = 40  # letters of the sizes of a network in a command
NETWORK = ["layers", "batch_size"]
NO_GPU = "No GPU on this machine; what one may take by its data sheet: "
NOT_ASKED = "Not measured; to measure it, or to see why no framework sees the GPU: "
TITLES = {  # of what is asked for first
    "train_step": "Training step",
    "loss_and_grad": "Gradient",
    "forward": "Forward pass, calls in a row",
}
METRICS = {"accuracy": "test accuracy", "r2": "test R²", "rmse": "test error (RMSE)"}


def sentences(report: Report) -> list[Answer]:
    """One answer per question that people ask; none where nothing was measured that gives one."""
    rows = report.conclusive
    if not len(report.rows):
        return []
    over_time = versions.sentences(versions.table(report))
    lines = [Answer("Has it become slower?", told) for told in over_time]
    for source, part in rows.groupby("source", sort=False):
        lines += [
            Answer(line.question, f"{source}: {line.text}" if report.many else line.text)
            for line in _of_steps(part)
            if line.text
        ]
    lines += [*requests(report)]
    lines += [*vectorisation(rows), *gpu(report, rows), *threads(report, rows)]
    lines += [*compilation(rows), *differentiation(rows)]
    asked = list(dict.fromkeys(line.question for line in lines))  # of each machine, together
    lines.sort(key=lambda line: asked.index(line.question))
    forecast = answer(report)
    return [*lines, *([forecast] if forecast.text else []), *learned(report), *uncertainty(report)]


def _of_steps(rows: pd.DataFrame) -> Iterator[Answer]:
    """What the training steps of a run say; of a run without any, the calls that it has."""
    has = set(rows.operation[rows.status == OK])
    operation = next((name for name in TITLES if name in has), "")
    if not operation:
        return
    of_it = rows[rows.operation == operation]
    part = comparable(of_it[of_it.status == OK])
    yield fastest(part, of_it[of_it.status == UNUSABLE])
    if operation == "train_step":
        yield from (crossing(part), near(part), parts(part))


def fastest(steps: pd.DataFrame, unusable: pd.DataFrame) -> Answer:
    """Which implementation is the fastest, for networks from the smallest to the largest.

    Args:
        unusable: rows of the same run without a usable number: of their networks nobody knows.
    """
    used = steps[(steps.device == "cpu") | (steps.transfer == "end_to_end")]
    used = used[used.threads == "all"]
    used = used[used.groupby(NETWORK).implementation.transform("nunique") > 1]
    used = used[~_networks(used).isin(_networks(comparable(unusable)))]
    sizes = used.groupby("layers").flops.max().sort_values().index.tolist()
    if len(sizes) > MOST_NETWORKS:  # from the smallest to the largest, and that of most batches
        places = {
            round(i * (len(sizes) - 1) / (MOST_NETWORKS - 2)) for i in range(MOST_NETWORKS - 1)
        }
        places.add(sizes.index(used.groupby("layers").batch_size.nunique().idxmax()))
        sizes = [sizes[i] for i in sorted(places)]
    answers, doubt = [], False
    for layers in sizes:
        by_size = [
            (size, contenders(part))
            for size, part in used[used.layers == layers].groupby("batch_size")
        ]
        doubt = doubt or any(len(names) > 1 for _, names in by_size)
        spans = []
        for names, group in groupby(by_size, key=lambda pair: pair[1]):
            batches = [size for size, _ in group]
            span = f"{batches[0]:,}" + (f" to {batches[-1]:,}" if len(batches) > 1 else "")
            spans.append(f"{_or(names)} (batch {span})")
        answers.append(f"{folded(layers)}: {', '.join(spans)}")
    title = TITLES[steps.operation.iloc[0]] if answers else ""
    said = f"{title}, {'; '.join(answers)}." if answers else ""
    return Answer(
        "Which is the fastest for my size?",
        said + (' "Or": their times cannot be told apart.' if doubt else ""),
    )


def _networks(rows: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[NETWORK])


def contenders(part: pd.DataFrame) -> tuple[str, ...]:
    """The fastest, and those of which it is not certain that they are slower."""
    order = part.sort_values("seconds")
    best = next(order.itertuples())
    names = [
        row.implementation + ("" if row.device == "cpu" else " on the GPU")
        for row in order.itertuples()
        if not analysis.slower(row, best)
    ]
    return tuple(in_order(names))


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def crossing(steps: pd.DataFrame) -> Answer:
    """From which batch size on another implementation is certainly the faster one."""
    table = analysis.crossovers(steps[steps.threads == "all"])
    lines = []
    if len(table):
        table = table[(table.against == "batch size") & table.answer.str.contains("overtakes")]
        for (network, first, second), part in table.groupby(
            ["network", "first", "second"], sort=False
        ):
            lines.append(f"{folded(network)}, {first} and {second}: {part.answer.iloc[0]}")
    more = f"; and {len(lines) - MOST_CROSSINGS} more" if len(lines) > MOST_CROSSINGS else ""
    text = "; ".join(lines[:MOST_CROSSINGS]).replace(" cpu", "")
    return Answer("From which batch on does that change?", f"{text}{more}." if lines else "")


def near(steps: pd.DataFrame) -> Answer:
    """Each time over the least that the machine allows, of the smallest and largest networks."""
    part = steps[steps.limit_seconds.notna() & (steps.transfer == "resident")]
    part = part[part.threads == "all"]
    ordered = part.sort_values("flops", kind="stable").drop_duplicates(NETWORK)
    answers = []
    for case in ordered.iloc[sorted({0, len(ordered) - 1})].itertuples() if len(ordered) else ():
        own = part[(part.layers == case.layers) & (part.batch_size == case.batch_size)]
        times = (own.seconds / own.limit_seconds).groupby(own.implementation).min()
        said = ", ".join(f"{name} {digits(times[name])}" for name in in_order(times.index))
        least = duration(case.limit_seconds)
        answers.append(f"{folded(case.layers)}, batch {case.batch_size:,} ({least}): {said}")
    text = f"In times the limit of the machine: {'; '.join(answers)}." if answers else ""
    return Answer("How near is that to the limit?", text)


def parts(steps: pd.DataFrame) -> Answer:
    """What most of a step's time is, of the smallest and the largest network."""
    part = steps[steps.products_seconds.notna() & (steps.transfer == "resident")]
    part = part[(part.threads == "all") & (part.implementation != SPEED_UPS_OVER)]
    ordered = part.sort_values("flops", kind="stable").drop_duplicates(NETWORK)
    if len(ordered) < 2:
        return Answer("", "")
    answers = []
    for case in (ordered.iloc[0], ordered.iloc[-1]):
        own = part[(part[NETWORK] == case[NETWORK]).all(axis=1)]
        by_name = {row.implementation: shares(row) for row in own.itertuples()}
        most = {
            name: max(share, key=lambda one: share[one]) for name, share in by_name.items() if share
        }
        said = [
            f"{name} {_percent(by_name[name][most[name]])} {most[name]}" for name in in_order(most)
        ]
        answers.append(f"{folded(case.layers)}, batch {case.batch_size:,}: {', '.join(said)}")
    return Answer("Is my time dispatch or arithmetic?", f"{'; '.join(answers)}.")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def gpu(report: Report, rows: pd.DataFrame) -> Iterator[Answer]:
    """From which batch size on a GPU pays, end to end; or why that is not known."""
    question, table = "GPU or CPU?", analysis.gpu_over_cpu(rows)
    networks = report.rows[report.rows.layers != ""]  # a population of neurons has none
    if not (report.rows.device == "cuda").any() and any(
        TABLE[name].gpu for name in set(networks.implementation) & set(TABLE)
    ):
        found = {j.run["machine"].get("gpu", "none") for j in report.journals}
        known = networks[networks.layers.str.len() <= LONGEST]
        sizes = known.layers[known.flops.idxmax()] if len(known) else "784-256-10"
        band = f'`{PORTABLE} advise --layers {sizes} --gpu "H100 PCIe"`'
        asked = f"`{PORTABLE} benchmark --device cpu,cuda`, `{PORTABLE} doctor`"
        yield Answer(question, f"{NO_GPU}{band}." if found <= {"none"} else f"{NOT_ASKED}{asked}.")
    if table.empty:
        return
    table = table[(table.operation == "train_step") & table.end_to_end_speed_up.notna()]
    for (cpu, of_gpu, layers), part in table.groupby(["cpu", "gpu", "layers"], sort=False):
        if part.batch_size.nunique() < LEAST_SIZES:
            continue
        answers = []
        for name in in_order(part.implementation):
            own = part[part.implementation == name]
            size = analysis.pays_from(own)
            if size is None:
                answers.append(f"{name}: not up to batch {own.batch_size.max():,}")
            else:
                most = digits(own.end_to_end_speed_up.max())
                answers.append(f"{name}: from batch {size:,}, up to {most} times")
        machines = "" if cpu == of_gpu else f" ({of_gpu} against the CPU of {cpu})"
        yield Answer(
            question,
            f"A GPU pays for {layers}, the batch's way to it included{machines}: "
            f"{'; '.join(answers)}.",
        )


def requests(report: Report) -> Iterator[Answer]:
    """What a forward pass of the fewest examples takes, warm and cold."""
    ok = report.ok[~report.ok.source.isin(report.too_busy)]
    known = ok[(ok.operation == "forward") & ok.p99_seconds.notna() & (ok.threads == "all")]
    for source, part in known.groupby("source", sort=False):
        case = part.sort_values(["batch_size", "flops"], kind="stable").iloc[0]
        own = comparable(part[(part[NETWORK] == case[NETWORK]).all(axis=1)])
        said = []
        for row in own.drop_duplicates(["implementation", "device"]).itertuples():
            name = row.implementation + ("" if row.device == "cpu" else f" {row.device}")
            cold = [row.import_seconds, row.first_call_seconds]
            said.append(
                f"{name} {duration(row.p50_seconds)} (p99 {duration(row.p99_seconds)}; cold "
                f"{' + '.join(filter(None, map(duration, cold)))})"
            )
        ahead = own.loc[own.seconds.idxmin()]
        row = f" In a row {ahead.implementation} is the fastest: {duration(ahead.seconds)} a call."
        yield Answer(
            "What does one prediction take?",
            (f"{source}: " if report.many else "")
            + f"{folded(case.layers)}, batch {case.batch_size}, p50: {', '.join(said)}; cold: "
            f"import + first call.{row * analysis.single_differs(own.itertuples())}",
        )


def vectorisation(rows: pd.DataFrame) -> Iterator[Answer]:
    """How many times faster than looped Python."""
    table = analysis.over_looped(rows)
    if table.empty:
        return
    table = table[(table.operation == "train_step") & (table.device == "cpu")]
    answers = [
        f"{name} {range_text(table[table.implementation == name].speed_up)}"
        for name in in_order(table.implementation)
    ]
    if answers:
        yield Answer(
            "What does looping in Python cost?",
            f"Times faster than it (training step, float64): {', '.join(answers)}.",
        )


def threads(report: Report, rows: pd.DataFrame) -> Iterator[Answer]:
    """What all cores gain over fewer, or that only one regime was measured."""
    question = "How many threads?"
    ok = rows[(rows.status == OK) & (rows.device == "cpu") & (rows.transfer == "resident")]
    ok = ok[ok.operation == "train_step"]
    regimes = list(dict.fromkeys(ok.threads))
    if len(regimes) == 1:
        cores = {str(journal.run["machine"].get("cores", "?")) for journal in report.journals}
        which = f"all ({' or '.join(sorted(cores))})" if regimes[0] == "all" else regimes[0]
        yield Answer(question, f"Only {which} measured; --threads 1,all compares.")
    if said := best_threads.sentence(best_threads.best(ok)):
        yield Answer(question, said)
    table = analysis.thread_gains(ok)
    for regime, pairs in table.groupby("regime", sort=False) if len(table) else ():
        answers = []
        for name in in_order(pairs.implementation):
            own = pairs[pairs.implementation == name]
            first = own[own.certain].sort_values("flops").head(1)
            where = [
                f"first at {folded(r.layers)}, batch {r.batch_size:,}" for r in first.itertuples()
            ]
            least = where[0] if where else "nowhere certainly"
            answers.append(f"{name} {range_text(own.times)} ({least})")
        yield Answer(question, f"Times faster with all than with {regime}: {'; '.join(answers)}.")


def compilation(rows: pd.DataFrame) -> Iterator[Answer]:
    """What compiling takes, and when it has paid for itself."""
    table, question = analysis.break_even(rows), "What does compiling cost?"
    if table.empty:
        return
    took = rows[(rows.status == OK) & (rows.compile_seconds > 0)]
    for name, part in table[table.against == COMPARED_WITH].groupby("compiled", sort=False):
        own = took[took.implementation == name].compile_seconds
        ends = " to ".join(dict.fromkeys(map(duration, (own.min(), own.max()))))
        pays = part[part.steps.map(math.isfinite)]
        never = int((part.steps == math.inf).sum())
        doubt = len(part) - len(pays) - never
        cases = f"{len(pays)} case{'s' * (len(pays) > 1)}"
        answers = [
            f"after {range_text(pays.steps)} steps in {cases}" if len(pays) else "",
            f"never in {never}" if never else "",
            f"not determined in {doubt}" if doubt else "",
        ]
        answer = ", ".join(filter(None, answers))
        yield Answer(
            question, f"{name} {ends} at the first call; paid for against NumPy: {answer}."
        )


def differentiation(rows: pd.DataFrame) -> Iterator[Answer]:
    """What a gradient costs in forward passes."""
    table = analysis.differentiation(rows)
    if table.empty:
        return
    table = table[table.ratio.notna()]
    largest = table.loc[table.groupby("implementation").parameters.idxmax()]
    answers = [
        f"{row.implementation} {digits(row.ratio)} ({row.parameters:,} parameters)"
        for row in largest.sort_values("ratio").itertuples()
    ]
    if answers:
        yield Answer("What does a gradient cost?", f"In forward passes: {', '.join(answers)}.")


def learned(report: Report) -> Iterator[Answer]:
    """What the networks of the main tasks have learned, and the time it took."""
    tasks = by_task(one for one in report.trained if one[0] not in report.too_busy)
    for task in headline(tasks) or list(tasks)[:3]:
        rows = tasks[task]
        first = rows[0].training[0]
        metric, target = first["metric"], first.get("target")
        tests = [statistics.median(seed["test"] for seed in row.training) for row in rows]
        values = list(dict.fromkeys(metric_text(metric, value) for value in sorted(tests)))
        value = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
        line = f"{task}: {METRICS.get(metric, metric)} {value} (medians over seeds)"
        reached = {
            f"{row.case.implementation} {row.case.device}": statistics.median(
                seed["to_target_ns"] for seed in row.training
            )
            for row in rows
            if all(seed.get("to_target_ns") for seed in row.training)
        }
        if target is not None and reached:
            order = sorted(reached, key=lambda name: reached[name])
            times = ", ".join(f"{name} {duration(reached[name] / 1e9)}" for name in order)
            after = f"{metric_text(metric, target)} of the validation data after"
            if all(seed.get("speedrun_ns") for row in rows for seed in row.training):
                after = "from raw bytes to weights"  # once through, and none is held out
            line += f"; {after}: {times}"
        yield Answer("", line + ".")


def uncertainty(report: Report) -> Iterator[Answer]:
    """What small differences are worth."""
    ok = report.ok[~report.ok.source.isin(report.too_busy)]
    trained = [row.case.operation for _, row in report.trained[:1]]
    ok = ok[~ok.operation.isin(trained)]
    known = ok[ok.seconds_low.notna()]
    if len(ok) and known.empty:
        yield Answer("How certain is that?", FEW_PROCESSES)
    elif len(known):
        half = ((known.seconds_high / known.seconds_low) ** 0.5 - 1).median()
        counts = report.rows["quality"].value_counts()
        levels = [f"{counts[name]} {name}" for name in (GOOD, NOISY, UNUSABLE) if name in counts]
        yield Answer(
            "How certain is that?",
            f"{', '.join(levels)}; half of the rows have a 95 % interval within "
            f"+-{100 * half:.0f} %; a difference smaller than the intervals is none.",
        )
