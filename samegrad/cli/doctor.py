"""`samegrad doctor`: what makes this machine's numbers misleading or slow."""

from argparse import Namespace
from typing import Any

from samegrad.cli.installation import faults
from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import commands


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor", help="what makes this machine's numbers misleading or slow"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print facts and findings; 1 if something is wrong."""
    wrong = faults()
    if not arguments.json:
        for line in wrong:
            print(f"PROBLEM: {line}", flush=True)
    commands.require("benchmark", "doctor")
    import json
    from dataclasses import asdict

    from samegrad.benchmarks.doctor import doctor

    facts, findings = doctor.diagnose()
    if arguments.json:
        plain = [asdict(finding) for finding in findings]
        print(json.dumps({"installation": wrong, "facts": facts, "findings": plain}, indent=1))
    else:
        print(doctor.text(facts, findings))
    return FAILED if wrong or doctor.problems(findings) else DONE
