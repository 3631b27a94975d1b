"""`prove_file`, `shrunk_snippet`: what is done with a file in a child process of its own."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samegrad.implementations.checking import diagnosis, messages, processes
from samegrad.implementations.checking.problems import AT_THE_KINK
from samegrad.implementations.checking.report import VerifyReport
from samegrad.implementations.contract import registry
from samegrad.implementations.proof import contract_file, identities, shrink
from samegrad.implementations.proof.identities import Kept
from samegrad.implementations.proof.result import VERDICTS, Proof
from samegrad.implementations.proof.shrink import SECONDS

Message = dict[str, Any]
_HEADING = (
    f"{'exact':12}{'networks':>9}{'entries':>9}{'points':>8}{'degree':>8}{'digits':>8}  first"
)


@dataclass(frozen=True)
class FileProof:
    """What running a file over exact numbers shows.

    Attributes:
        proofs: of each network that the file supports, by its label.
        reason: why there is none, or not all; "" if there is nothing to say.
        identities: a second witness, over floats; it changes no verdict.
    """

    proofs: Sequence[tuple[str, Proof]] = ()
    reason: str = ""
    identities: Sequence[Kept] = ()

    @property
    def verdict(self) -> str:
        """One of VERDICTS: "disagrees" if one does, else the weakest of all."""
        verdicts = {proof.verdict for _, proof in self.proofs}
        if "disagrees" in verdicts or not verdicts or self.reason:
            return "disagrees" if "disagrees" in verdicts else "not proved"
        return max(verdicts, key=VERDICTS.index)

    def of_verdict(self, verdict: str) -> list[tuple[str, Proof]]:
        """The networks of a verdict."""
        return [(label, proof) for label, proof in self.proofs if proof.verdict == verdict]

    def lines(self, verbose: bool = False) -> list[str]:
        """A table with a row per verdict, and what each says.

        Args:
            verbose: a row for every network.
        """
        groups = [found for verdict in VERDICTS if (found := self.of_verdict(verdict))]
        rows = [[pair] for pair in self.proofs] if verbose else groups
        lines = [_HEADING] if rows else []
        lines += [_row(group) for group in rows]
        for group in groups:
            verdict = group[0][1].verdict
            if verdict in VERDICTS[:2]:
                label, proof = max(
                    group, key=lambda pair: (pair[1].degree or 0, -(pair[1].digits or 0))
                )
                lines.append(f"{verdict}: {proof.meaning} [{label}]")
                continue
            said: dict[str, list[str]] = {}
            for label, proof in group:
                said.setdefault(proof.reason, []).append(label)
            for reason, labels in said.items():
                more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
                lines.append(f"{verdict}: {reason} [{labels[0]}{more}]")
        lines += [f"not proved: {self.reason}"] if self.reason else []
        return lines + list(filter(None, [identities.line(self.identities)]))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        networks = [{"network": label, **proof.to_dict()} for label, proof in self.proofs]
        kept = [{**vars(identity), "holds": identity.holds} for identity in self.identities]
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "networks": networks,
            "identities": kept,
        }


def _row(group: Sequence[tuple[str, Proof]]) -> str:
    proofs = [proof for _, proof in group]
    degrees = [proof.degree for proof in proofs if proof.degree is not None]
    digits = [proof.digits for proof in proofs if proof.digits is not None]
    return (
        f"{proofs[0].verdict:12}{len(group):9}{sum(p.entries for p in proofs):9}"
        f"{max(p.points for p in proofs):8}{max(degrees) if degrees else '-':>8}"
        f"{min(digits) if digits else '-':>8}  {group[0][0]}"
    )


def prove_file(name: str, *, seed: int = 0, time_limit: float = 60.0) -> FileProof:
    """Run a file's `loss_and_grad` over exact numbers in a process of its own.

    Args:
        name: of the table, a path of a Python file, or a dotted module name.
        seed: of the random points.
        time_limit: seconds for loading, and for each network.

    Raises:
        UnknownImplementationError: the name can mean nothing.
    """
    registry.check_name(name)
    proofs: list[tuple[str, Proof]] = []
    said: list[str] = []
    kept: list[Kept] = []

    labels = {contract_file.label(spec) for spec in contract_file.networks()}

    def on_message(message: Message) -> float | None:
        new = message.get("network")
        found = FileProof(
            [] if new is None else [(new, Proof(**message["proof"]))],
            message.get("reason", ""),
            [Kept(**identity) for identity in message.get("identities", ())],
        )
        "".join(found.lines(verbose=True))  # a file may send anything in their place
        said.extend(filter(None, [found.reason]))
        proofs.extend(found.proofs)
        kept.extend(found.identities)
        if new is not None:
            labels.remove(new)
        return None if new is None else time_limit

    ended = _asked(
        {"implementation": registry.absolute(name), "seed": seed}, on_message, time_limit
    )
    if ended.reason:
        how = "hangs" if ended.kind == "timeout" else "ends the process"
        said.append(f"over exact numbers it {how}: {ended.reason}")
    if not proofs and not said:
        said.append("it supports none of the small networks that are proved")
    return FileProof(proofs, next(iter(said), ""), kept)


def with_proof(report: VerifyReport, proof: FileProof) -> VerifyReport:
    """A report that shows the proof too; a difference that only exact numbers show counts."""
    report = replace(report, exact=proof)
    wrong = proof.of_verdict("disagrees")
    if report.verdict == "agrees" and wrong:
        label, first = wrong[0]
        return replace(report, verdict="disagrees", reason=f"exact: {first.reason} [{label}]")
    return report


def shrunk_snippet(name: str, report: VerifyReport, seconds: float = SECONDS) -> str:
    """Lines that repeat what a report found, on the smallest network that shows it; or "".

    Args:
        name: as the lines load it.
        report: one that disagrees.
        seconds: how long smaller ones are looked for, once the file is loaded.
    """
    failed = [
        outcome
        for outcome in report.outcomes
        if outcome.status == "disagree"
        and not outcome.mutations
        and outcome.problem.spec.dtype == "float64"
        and outcome.problem.name != AT_THE_KINK
    ]
    if not failed or report.options.device != "cpu":
        return ""
    snippets: list[str] = []
    problem = messages.encode_problem(diagnosis.simplest(failed).problem)
    request = {"implementation": registry.absolute(name), "problem": problem, "seconds": seconds}
    _asked(
        {**request, "name": name},
        lambda message: snippets.append("" + message.get("snippet", "")),
        report.options.time_limit + seconds,
    )
    return next(iter(snippets), "")


def _asked(
    request: Message, on_message: Callable[[Message], float | None], time_limit: float
) -> processes.Exit:
    return processes.run_child(
        processes.python_child("samegrad.implementations.proof.child"),
        request,
        {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        on_message,
        time_limit,
    )


def main() -> None:
    """Answer one request."""
    processes.serve(_answer)


def _answer(request: Message, send: Callable[[Message], None]) -> None:
    def tell(label: str, proof: Proof) -> None:
        fields = {key: value for key, value in vars(proof).items() if key != "given"}
        send({"network": label, "proof": {**fields, "read": list(proof.read)}})

    try:
        implementation = registry.load(request["implementation"])
        if "problem" in request:
            problem = messages.decode_problem(request["problem"])
            found = shrink.shrunk(implementation, problem, request["seconds"])
            if found is not None:
                send({"snippet": shrink.snippet(request["name"], *found)})
            return
        if "loss_and_grad" in implementation.lacks:
            send({"reason": "it has no loss_and_grad"})
            return
        kept = identities.kept(implementation, request["seed"])
        send({"identities": [vars(identity) for identity in kept]})
        contract_file.prove_networks(implementation, request["seed"], tell)
    except (ImportError, NotImplementedError) as error:
        send({"reason": " ".join(str(error).split())})
    except SystemExit as error:
        send({"reason": f"it exits (SystemExit {error.code})"})
