"""What only a GPU can show, part by part within a time: `samegrad gpu-proof`.

Each part is a command of ours in a process of its own, with its share of what is left; the most
valuable comes first. What came of it is in the folder at once, so that another start goes on from
there, and at the end in one archive, which `samegrad render` reads.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import sheets
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, read
from samegrad.benchmarks.records.sheets import (
    LAUNCH_SECONDS,
    LEAST_OF_SHEET,
    NODE_SECONDS,
)
from samegrad.implementations.contract import own_commands, registry
from samegrad.implementations.contract.files import replaced
from samegrad.implementations.contract.texts import clean

LOCK = "gpu-proof.lock"
STATE, ENVIRONMENT, ARCHIVE = "gpu-proof.json", "environment.json", "gpu-proof.zip"
JOURNAL = "journal.jsonl"
AGREEMENT = "agreement_"  # how the parts begin that verify an implementation
DONE, FAILED, STOPPED, LEFT = "done", "failed", "stopped", "left"  # what became of a part
OF_SHARE = 0.8  # of its share a run measures; the rest is for what comes before and its report
END_SECONDS, END_SHARE = 20.0, 0.1  # for a part to write its report once it is told to stop
PACK_SECONDS = 5.0
LOG_BYTES = 2**16  # of what a part printed, from its end
# Variables that change what is measured; others are nobody's business.
VARIABLES = ("CUDA_", "JAX_", "MKL_", "NVIDIA_", "OMP_", "OPENBLAS_", "PYTORCH_", "TORCH", "XLA_")


@dataclass(frozen=True)
class Part:
    """A command and its share of the time.

    Attributes:
        name: of its folder.
        arguments: of samegrad.
        share: of the time, beside those of the other parts.
        least: seconds; with less it is not begun.
        limited: whether it takes --time.
    """

    name: str
    arguments: tuple[str, ...]
    share: float
    least: float = 60.0
    limited: bool = False

    @property
    def measures(self) -> bool:
        """Whether it writes a journal."""
        return self.arguments[0] == "benchmark"


def parts() -> list[Part]:
    """All of reports/results/GPU-TODO.md that a command can do, the most valuable first."""
    here = [n for n, e in registry.TABLE.items() if e.gpu and not registry.why_not_installed(n)]
    wide = ",".join(name for name in ("torch", "torch_compile", "jax") if name in here)
    cuda, both = ("--device", "cuda"), ("--device", "cpu,cuda")
    digits = ("--dtype", "float32,tf32,bfloat16", "-k", "train_step")
    layers = ("--layers", "8192-8192-8192-10", "--batch-size", "8192")
    made = [
        Part("hello", ("benchmark", "--preset", "hello", *both), 3, limited=True),
        *(Part(f"{AGREEMENT}{name}", (*_verify(name), *cuda, "--json"), 1.5, 60) for name in here),
        Part("standard", ("benchmark", *both), 24, 480, limited=True),
        Part("precisions", ("benchmark", *cuda, *digits), 8, limited=True),
        Part("selftest", ("selftest", *cuda, "--json"), 5),
        Part("peers", ("benchmark", "-m", "peers", *both), 20, 120, limited=True),
        Part("wide", ("benchmark", *layers, *cuda, *digits, "--implementation", wide), 5, 90,
             limited=True),
        Part("scaling", ("benchmark", "-m", "scaling", *both), 20, 120, limited=True),
        Part("training", ("benchmark", "-m", "training", *both, "--workload", "mnist*,digits*",
                          "--limit", "300", "--seeds", "3"), 20, 120),
    ]  # fmt: skip
    return [part for part in made if wide or part.name != "wide"]


def _verify(name: str) -> tuple[str, ...]:
    """The command; of who compiles each function for seconds on a GPU, for one network.

    On an H100 torch took a minute for all problems; JAX, flax, torch_compile, Triton and Pallas had
    not come to their end in two.
    """
    one = ("--layers", "64-32-10", "--batch-size", "32") * registry.TABLE[name].compiles
    return "verify", name, *one


class Proof:
    """A folder with what has come of the parts."""

    def __init__(
        self, folder: Path, chosen: Sequence[Part], say: Callable[[str], object], resume: bool
    ) -> None:
        """Begin, or go on.

        Raises:
            ValueError: the folder is there already, or holds none to go on with, or links or pipes,
                through which what is written would go elsewhere.
        """
        self.folder, self.parts, self.say = folder, chosen, say
        state = folder / STATE
        if resume and not state.is_file():
            raise ValueError(f"--resume {folder}: there is no {STATE}; start without --resume")
        if not resume and folder.exists() and any(folder.iterdir()):
            raise ValueError(f"--output {folder}: it is not empty; --resume goes on with it")
        for path in folder.rglob("*"):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise ValueError(f"--resume {folder}: {path} is no ordinary file; take it away")
        folder.mkdir(parents=True, exist_ok=True)
        self.came = _came(state) if resume else {}
        self.resume = resume

    def run(self, seconds: float, max_bytes: int) -> Path:
        """Every part that is left, until the time is up; the archive.

        Raises:
            ValueError: another start still is at work in the folder.
        """
        deadline = time.monotonic() + seconds - PACK_SECONDS
        with _alone(self.folder, self.say) as self._lock:
            if self.resume:  # which another start may have written meanwhile
                self.came = _came(self.folder / STATE)
            self._write(ENVIRONMENT, environment())
            self._write(STATE, self.came)
            left = [part for part in self.parts if not self._over(part)]
            try:
                for number, part in enumerate(left):
                    # What is no benchmark ends by itself, and leaves its rest to the others.
                    share = part.share / sum(other.share for other in left[number:])
                    self._run(part, share * (deadline - time.monotonic()), deadline)
            finally:
                archive = self.pack(max_bytes)
            return archive

    def status(self, part: Part) -> str:
        """What has become of a part."""
        return str(self.came.get(part.name, {}).get("status", LEFT))

    def _over(self, part: Part) -> bool:
        """Whether it came to its end, be it that a check failed: that is a result, too."""
        return self.came.get(part.name, {}).get("exit_status") in (0, 1, 3)

    def _run(self, part: Part, share: float, deadline: float) -> None:
        left = deadline - time.monotonic()
        seconds = max(share, min(part.least, left))
        if left < part.least:
            self.say(f"{part.name}: {max(0.0, left):.0f} s are left, it takes {part.least:.0f} s")
            return
        self.say(f"{part.name}: {seconds:.0f} s at most")
        arguments, journal = [*part.arguments], self._journal(part)
        if journal is not None and journal.cases:
            arguments = ["render", part.name]
            if not journal.complete:
                arguments = ["benchmark", "--resume", part.name]
        elif part.measures:
            shutil.rmtree(self.folder / part.name, ignore_errors=True)  # it had hardly begun
            arguments += ["--output", part.name]
            arguments += ["--time", f"{OF_SHARE * seconds:.0f}"] if part.limited else []
        began = time.monotonic()
        came = self.came[part.name] = {"status": STOPPED, "arguments": arguments}
        try:
            came["exit_status"] = self._child(part.name, arguments, seconds)
            came["status"] = {0: DONE, None: STOPPED}.get(came["exit_status"], FAILED)
        finally:
            came["seconds"] = round(time.monotonic() - began, 1)
            self._write(STATE, self.came)
        self.say(f"{part.name}: {came['status']}, {came['seconds']:.0f} s{self._why(part)}")

    def _why(self, part: Part) -> str:
        """The last line that a part printed of why it failed."""
        if self.status(part) != FAILED:
            return ""
        texts = [(self.folder / f"{part.name}.{end}").read_bytes() for end in ("out", "log")]
        lines = clean(b"".join(texts).decode(errors="replace")).strip().splitlines()
        return f": {lines[-1][:200]}" if lines else ""

    def _journal(self, part: Part) -> Journal | None:
        try:
            return read(self.folder / part.name / JOURNAL)
        except (OSError, NotAJournalError):
            return None

    def _child(self, name: str, arguments: Sequence[str], seconds: float) -> int | None:
        """Exit status of a command, None if it was stopped; what it prints goes to files."""
        kept = min(END_SECONDS, END_SHARE * seconds)
        with (
            (self.folder / f"{name}.out").open("wb") as out,
            (self.folder / f"{name}.log").open("wb") as log,
        ):
            # A part that outlives us for a moment, to write what it has, holds the folder, too.
            held = {"pass_fds": (self._lock.fileno(),)} if os.name == "posix" else {}
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": log, **held}
            child = own_commands.start(arguments, self.folder, os.environ, **streams)
            try:
                return child.wait(seconds - kept)
            except subprocess.TimeoutExpired:
                return None
            except KeyboardInterrupt:  # a terminal's has reached the part as well
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(kept)
                raise
            finally:
                own_commands.end(child, kept)

    def pack(self, max_bytes: int) -> Path:
        """The archive of everything, the most valuable first as far as the size allows."""
        path, left, out = self.folder / ARCHIVE, max_bytes, list[str]()
        with (
            replaced(path) as beside,
            zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        ):
            for name, data in self._files():
                size = len(zlib.compress(data, 9)) + 2 * len(name) + 200  # and its two headers
                if size > left:
                    out.append(name)
                    continue
                archive.writestr(name, data)
                left -= size
        if out:
            self.say(f"{', '.join(out)}: left out of the archive (--max-size)")
        return path

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for name in (STATE, ENVIRONMENT):
            if (self.folder / name).is_file():
                yield name, (self.folder / name).read_bytes()
        # An earlier start may have had other parts: --only.
        began = [one for one in parts() if one.name in self.came and one not in self.parts]
        for pattern in (f"{{}}/{JOURNAL}", "{}.out", "{}.log", "{}/report.md"):
            for part in (*self.parts, *began):
                name = pattern.format(part.name)
                if (self.folder / name).is_file():
                    data = (self.folder / name).read_bytes()
                    yield name, data[-LOG_BYTES:] if name.endswith(".log") else data

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        with replaced(self.folder / name) as beside:
            beside.write_text(json.dumps(content, indent=1))

    def bands(self) -> list[str]:
        """What was predicted of the GPU beside what the parts measured, a line each."""
        sheet: dict[str, float] = {}
        rates: dict[str, float] = {}
        launches: list[float] = []
        steps: list[float] = []
        for journal in filter(None, map(self._journal, self.parts)):
            name = str(journal.run["machine"].get("gpu", ""))
            sheet = sheets.sheet(name) or sheet
            for (device, _, arithmetic), rate in journal.most_flops().items():
                if device == "cuda":
                    rates[arithmetic] = max(rate, rates.get(arithmetic, 0.0))
            launches += [r["value"] for r in journal.ceilings if r["quantity"] == "launch"]
            steps += [
                row.median_seconds
                for row in results.rows(journal)
                if row.median_seconds is not None
                and row.case.id.startswith("digits")
                and row.case.operation == "train_step"
                and (row.case.implementation, row.case.device) == ("torch_compile", "cuda")
            ]
        lines = []
        for arithmetic, rate in sorted(rates.items()):
            most = sheet.get(arithmetic)
            if most:
                low, high = LEAST_OF_SHEET * most / 1e12, most / 1e12
                lines.append(
                    f"{arithmetic} products: {rate / 1e12:.3g} TFLOP/s, predicted {low:.3g} to "
                    f"{high:.3g} (data sheet){_beside(low <= rate / 1e12 <= 1.05 * high)}"
                )
            else:
                lines.append(f"{arithmetic} products: {rate / 1e12:.3g} TFLOP/s, no data sheet")
        if launches:
            low, high = LAUNCH_SECONDS
            lines.append(
                f"launch: {1e6 * min(launches):.2g} us, predicted {1e6 * low:.2g} to "
                f"{1e6 * high:.2g}{_beside(low <= min(launches) <= high)}"
            )
        if steps:
            lines.append(
                f"digits step of torch_compile: {1e6 * min(steps):.3g} us, as long as "
                f"{min(steps) / NODE_SECONDS:.0f} nodes of a graph are predicted to take"
            )
        return lines


def _alone(folder: Path, say: Callable[[str], object]) -> IO[bytes]:
    """Hold a folder, as one at a time, until what is returned is closed; on Windows nothing is.

    Raises:
        ValueError: another start still is at work there.
    """
    lock = (folder / LOCK).open("ab")
    try:
        import fcntl
    except ImportError:
        return lock
    told, until = False, time.monotonic() + END_SECONDS + PACK_SECONDS
    while True:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        if time.monotonic() > until:
            lock.close()
            raise ValueError(f"{folder}: another gpu-proof is at work there; wait until it ends")
        if not told:
            told = True
            say(f"{folder}: another start, or its last part, is ending; it is waited for")
        time.sleep(0.2)


def _beside(holds: bool) -> str:
    return "" if holds else ": NOT AS PREDICTED"


def _came(state: Path) -> dict[str, dict[str, Any]]:
    """What became of the parts of another start, by their names."""
    came = None
    with contextlib.suppress(ValueError, RecursionError):
        came = json.loads(state.read_bytes())
    if not isinstance(came, dict) or not all(isinstance(one, dict) for one in came.values()):
        raise ValueError(f"--resume: {state} is not what gpu-proof writes; start without --resume")
    return came


def environment() -> dict[str, Any]:
    """Facts about machine, packages and variables."""
    packages = {str(d.metadata["Name"]): d.version for d in metadata.distributions()}
    named = {k: v for k, v in os.environ.items() if k.startswith(VARIABLES)}
    variables = {k: v for k, v in named.items() if os.sep not in v}  # no path of this machine
    return {
        "machine": system.machine(),
        "packages": dict(sorted(packages.items())),
        "variables": dict(sorted(variables.items())),
    }
