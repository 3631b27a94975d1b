"""`samegrad archive`: the results of many runs in one place, and questions to them."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

MOST_LINES = 1000  # of a table in a terminal; --csv has all
MOST_REFUSED = 20  # that are said one by one
RUN = "a journal.jsonl, its folder, a folder of runs, or an archive of gpu-proof"
MEANT = (
    "a run's name or the beginning of its run_id: its newest version; a journal, its folder, or "
    "the beginning of a journal_sha256: that version"
)


def add(subparsers: Any) -> None:
    """Declare the command and its commands."""
    parser = subparsers.add_parser("archive", help="keep results of many runs; ask, check, show")
    parser.commands = parser.add_subparsers(
        dest="action",
        metavar="add|check|query|history|compare|withdraw|merge",
        required=True,
        parser_class=type(parser),
    )
    actions = {}
    for name, function, help_text in (
        ("add", add_runs, "add runs, each version once"),
        ("check", check, "whether runs may be published; 1 if not"),
        ("query", query, "ask in SQL: tables rows, runs, parts (every version), withdrawn"),
        ("history", history, "each case over the runs of a machine, steps marked"),
        ("compare", compare, "each case across machines"),
        ("withdraw", withdraw, "take a wrong version of a run out; nothing is deleted"),
        ("merge", merge, "put small parts together"),
    ):
        actions[name] = parser.commands.add_parser(name, help=help_text)
        actions[name].set_defaults(run=function, parser=actions[name])
        if name != "check":
            place(actions[name])
    for name in ("add", "check"):
        actions[name].add_argument("journals", nargs="+", metavar="RUN", help=RUN)
    actions["add"].add_argument(
        "--again",
        action="store_true",
        help="also what is there already, and what was withdrawn",
    )
    actions["query"].add_argument("sql", metavar="SQL", nargs="?", help="one SELECT")
    actions["query"].add_argument(
        "--withdrawn", action="store_true", help="what was withdrawn, when and why"
    )
    actions["withdraw"].add_argument("meant", metavar="RUN", help=MEANT)
    actions["withdraw"].one_more = "one RUN at a time can be withdrawn"
    actions["withdraw"].add_argument(
        "--reason", metavar="TEXT", required=True, help="which stays; up to 300 characters"
    )
    actions["query"].add_argument("--csv", action="store_true", help="all of it, as CSV")
    for name in ("history", "compare"):
        actions[name].add_argument(
            "--case", metavar="WORDS", help='for example "mnist train_step numpy"'
        )
    actions["history"].add_argument(
        "--machine", metavar="WORDS", help="beginning of a fingerprint, or its name"
    )
    actions["history"].add_argument("--steps", action="store_true", help="cases with steps only")
    actions["compare"].add_argument(
        "machines", nargs="*", metavar="MACHINE", help="fingerprints, or their beginnings"
    )


def place(parser: Any) -> None:
    """Declare which archive is meant."""
    parser.add_argument("--archive", default="archive", metavar="DIR", help="default: archive")


def _needed(what: str) -> None:
    commands.require("archive", f"archive {what}")


def add_runs(arguments: Namespace) -> int:
    """Add runs; 1 if one was refused, or a part of the archive was left out."""
    _needed("add")
    from samegrad.implementations.contract.files import named
    from samegrad.reports.archive import adding
    from samegrad.reports.data import archives

    folder = named("--archive", arguments.archive)
    with archives.unpacked(arguments.journals) as unpacked:
        result = adding.add(folder, adding.places(unpacked), again=arguments.again)
    _told(result.lines)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in result.counts.items())
    say(f"{folder}: {counts or 'no runs'}; {result.rows:,} rows written")
    return FAILED if result.counts.get(adding.REFUSED) or result.damaged else DONE


def _told(lines: list[str]) -> None:
    for line in lines[:MOST_REFUSED]:
        say(line, error=True)
    if len(lines) > MOST_REFUSED:
        say(f"and {len(lines) - MOST_REFUSED:,} more like these", error=True)


def check(arguments: Namespace) -> int:
    """Say of each run whether it may be published; 1 if one may not."""
    _needed("check")
    from samegrad.reports.archive import adding
    from samegrad.reports.data import archives

    status = DONE
    with archives.unpacked(arguments.journals) as unpacked:
        for place in adding.places(unpacked):
            faults = adding.faults(place)
            for fault in faults:
                said = fault.removeprefix(f"{place}: ")  # of what its lines say
                say(f"{adding.meant(place)}: {said}", error=True)
            if not faults:
                say(f"{place}: may be published")
            status = FAILED if faults else status
    return status


def query(arguments: Namespace) -> int:
    """Print the answer to a question in SQL."""
    _needed("query")
    from samegrad.reports.archive import store, tables, withdrawing

    if arguments.withdrawn == (arguments.sql is not None):
        raise ValueError("give one SELECT, or --withdrawn without one")
    damaged = list[str]()
    with store.opened(arguments.archive, damaged.append) as connection:
        answer = store.select(connection, arguments.sql or withdrawing.LEFT_OUT)
        for line in tables.csv(answer) if arguments.csv else tables.text(answer, MOST_LINES):
            say(line)
        if arguments.withdrawn:
            note = withdrawing.nothing(connection, arguments.archive)
        else:
            note = withdrawing.note(connection)
    return ended(damaged, note)


def ended(damaged: list[str], note: str, done: bool = True) -> int:
    """The exit status, after what is to be said of what was left out: withdrawn, and damaged."""
    _told([note] * bool(note) + damaged)
    return FAILED if damaged or not done else DONE


def history(arguments: Namespace) -> int:
    """Print each case over time; 1 if no machine has run one twice."""
    _needed("history")
    from samegrad.reports.archive import queries, store, tables, withdrawing

    machine = (arguments.machine,) if arguments.machine else ()
    filters = queries.Filters(arguments.case or "", machine)
    damaged = list[str]()
    with store.opened(arguments.archive, damaged.append) as connection:
        for text in machine:
            _machines(queries, connection, text)
        series, count = queries.history(connection, filters, only_steps=arguments.steps)
        note, measured = withdrawing.note(connection), count
        if arguments.steps and not count:
            _, measured = queries.history(connection, filters, most=1)
    for line in tables.history(series, count, only_steps=arguments.steps):
        say(line)
    if measured and not count:
        were = f"case{'s were' if measured > 1 else ' was'}"
        say(f"{measured:,} such {were} measured more than once; none has a step")
    if not measured:
        _nothing("no case that a machine has measured twice", arguments.case)
    return ended(damaged, note, bool(measured))


def _nothing(what: str, words: str | None) -> None:
    """Say that there is no such case, among those with some words."""
    say(
        f"--case {words!r:.60}: {what} has these words" if words else f"{what} is there", error=True
    )


def compare(arguments: Namespace) -> int:
    """Print each case over all machines, or some side by side; 1 if nothing can be compared."""
    _needed("compare")
    from samegrad.reports.archive import queries, store, tables, withdrawing

    filters = queries.Filters(arguments.case or "")
    damaged = list[str]()
    with store.opened(arguments.archive, damaged.append) as connection:
        note = withdrawing.note(connection)
        if not arguments.machines:
            spreads = queries.spread(connection, filters)
            for line in tables.spread(spreads[:MOST_LINES], len(spreads)):
                say(line)
            if not spreads:
                _nothing("no case that two machines have measured", arguments.case)
            return ended(damaged, note, bool(spreads))
        chosen = [_machine(queries, connection, text) for text in arguments.machines]
        if not 2 <= len(dict(chosen)) == len(chosen) <= queries.MOST_MACHINES:
            raise ValueError(f"give 2 to {queries.MOST_MACHINES} machines, each once")
        cases = queries.beside(connection, filters, list(dict(chosen)))
    for line in tables.beside(cases[:MOST_LINES], [words for _, words in chosen], len(cases)):
        say(line)
    if not cases:
        _nothing("no case that these machines have measured", arguments.case)
    return ended(damaged, note, bool(cases))


def _machine(queries: Any, connection: Any, text: str) -> tuple[str, str]:
    """(fingerprint, words) of the one machine that a text means."""
    found = _machines(queries, connection, text)
    if len(found) > 1:
        raise ValueError(f"{text!r:.60} means {len(found):,} machines; {_some(found)}")
    return found[0][0], found[0][1]


def _machines(queries: Any, connection: Any, text: str) -> Any:
    """The machines that a text means, at least one."""
    found = queries.machines(connection, queries.Filters(machines=(text,)))
    if not found:
        known = queries.machines(connection, queries.Filters())
        raise ValueError(f"{text!r:.60} is no machine of this archive; {_some(known)}")
    return found


def _some(machines: Any) -> str:
    some = ", ".join(f"{fingerprint} ({words})" for fingerprint, words, *_ in machines[:5])
    return f"there are: {some}{', ...' * (len(machines) > 5)}"


def withdraw(arguments: Namespace) -> int:
    """Take a version of a run out, and say what counts then."""
    _needed("withdraw")
    from samegrad.implementations.contract.files import named
    from samegrad.reports.archive import withdrawing

    folder = named("--archive", arguments.archive)
    damaged = list[str]()
    say(withdrawing.withdraw(folder, arguments.meant, arguments.reason, damaged.append))
    return ended(damaged, "")


def merge(arguments: Namespace) -> int:
    """Put the small parts of an archive together."""
    _needed("merge")
    from samegrad.implementations.contract.files import named
    from samegrad.reports.archive import merging

    folder = named("--archive", arguments.archive)
    damaged = list[str]()
    before, after = merging.merge(folder, damaged.append)
    say(f"{folder}: {before:,} part{'s' * (before != 1)}, now {after:,}")
    return ended(damaged, "")
