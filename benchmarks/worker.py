"""The child's side: probe an implementation, prepare inputs, or measure cases.

One fresh process per implementation and device, its environment set before it started. It gets
one request and sends messages (see `implementations.isolation`).
"""

import contextlib
import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cases, environment, inputs, pilot, timer
from benchmarks.cases import Case, Problem
from implementations import isolation, registry, verification
from implementations.interface import Implementation, MLPSpec, Tree

Message = dict[str, Any]
Send = Callable[[Message], None]

# Run by `python -P -c BOOTSTRAP ROOT`: the packages come from ROOT whatever the current folder
# holds, and nothing else of ROOT gets onto the path of an interpreter that is not ours.
BOOTSTRAP = """
import importlib.util, sys
root = sys.argv[1]
for name in ("implementations", "benchmarks"):
    spec = importlib.util.spec_from_file_location(
        name, f"{root}/{name}/__init__.py", submodule_search_locations=[f"{root}/{name}"])
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
from benchmarks.worker import main
main()
"""
LEARNING_RATE = 0.01  # of the timed steps: too small to leave the neighbourhood of the start
# Results of independent calls that may wait for the synchronisation together: enough to hide the
# wait itself, which takes longer than a small call, and too few to fill the cache.
MOST_PENDING, MOST_PENDING_BYTES = 32, 16 * 2**20


def command(interpreter: str) -> list[str]:
    """The command line of a worker."""
    return [interpreter, "-P", "-c", BOOTSTRAP, str(environment.ROOT)]


def main() -> None:
    """Answer one request."""
    sys.path.append(str(Path.cwd()))  # for package.module of the user, after everything else
    isolation.serve(
        lambda request, send: {"probe": probe, "prepare": prepare, "measure": measure}[
            request["role"]
        ](request, send)
    )


def probe(request: Message, send: Send) -> None:
    """Say what an implementation can do here, and how fast it is on a few small networks."""
    name = request["implementation"]
    try:
        implementation = registry.load(name)
    except ImportError as error:
        send({"status": "unavailable", "reason": str(error)})
        return
    devices = implementation.devices()
    send(
        {
            "status": "ok",
            "devices": list(devices),
            "dtypes": list(implementation.DTYPES),
            "source_sha256": source_hash(implementation),
            "versions": environment.versions(),
            "python": sys.version.split()[0],
        }
    )
    for device in devices:
        if device in request["devices"]:
            facts: dict[str, str] = getattr(implementation, "describe", lambda _: {})(device)
            try:
                with _turn(request["turn"]):
                    measured = pilot.of(implementation, device)
            except NotImplementedError as error:
                reason = f"it does not support the network that predicts its cost: {error}"
                send({"status": "unavailable", "reason": reason})
                return
            send(
                {
                    "device": device,
                    "facts": {**facts, "numpy_blas": environment.blas()},
                    "pilot": measured,
                }
            )


@contextlib.contextmanager
def _turn(path: str) -> Iterator[None]:
    """One pilot at a time: threads of two frameworks make each other ten times slower."""
    with Path(path).open("w") as lock:
        try:
            import fcntl
        except ImportError:  # Windows: no turns, and pilots that may be pessimistic
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)  # given up when the process ends, however it ends
        yield


def prepare(request: Message, send: Send) -> None:
    """Write the inputs and the reference's results of each problem."""
    directory = Path(request["directory"])
    for data in request["problems"]:
        problem = Problem(**{**data, "spec": cases.spec_from_json(data["spec"])})
        send({"begin": problem.id})
        try:
            digest = inputs.save(directory, problem, inputs.make(problem, request["seed"]))
            send({"problem": problem.id, "sha256": digest})
        except (ValueError, MemoryError, ImportError, OSError) as error:
            send({"problem": problem.id, "reason": _said(error)})


def measure(request: Message, send: Send) -> None:
    """Gate and time each case of the request, in its order."""
    implementation = registry.load(request["implementation"])
    bench = Bench(implementation, request)
    for data in request["cases"]:
        case = cases.from_json(data)
        send({"begin": case.id})
        began = time.process_time_ns(), time.perf_counter_ns()
        try:
            outcome = bench.measure(case)
        except NotImplementedError as error:
            outcome = {"status": "unavailable", "reason": _said(error)}
        except Exception as error:
            memory = _is_out_of_memory(error)
            outcome = {"status": "out_of_memory" if memory else "crashed", "reason": _said(error)}
        outcome["spent_ns"] = time.perf_counter_ns() - began[1]
        send({"outcome": outcome, "case": case.id})


class Bench:
    """What one process keeps between cases: the present problem, placed, and its gate."""

    def __init__(self, implementation: Implementation, request: Message) -> None:
        self.implementation = implementation
        self.device: str = request["device"]
        self.directory = Path(request["directory"])
        self.budget_ns: float = request["block_seconds"] * 1e9
        self.warm_up_seconds: float = request["warm_up_seconds"]
        self.target_ns = timer.CPU_BLOCK_NS if self.device == "cpu" else timer.GPU_BLOCK_NS
        self.problem: Problem | None = None

    def measure(self, case: Case) -> Message:
        """One case's outcome; no number without an agreement in every tensor."""
        if case.problem != self.problem:
            self._take(case.problem)
        gated = case.gated
        for operation in gated:
            self._gate(operation)
        checked = verification.Comparison(sum((self.gates[op].tensors for op in gated), ()))
        if not checked.agrees:
            return {"status": "wrong", "reason": checked.reason}
        work = self._work(case)
        if self.first_ns[gated[-1]] < self.warm_up_seconds * 1e9:  # a longer call waits its turn
            timer.warm_up(work, self.warm_up_seconds)
            self.warm_up_seconds = 0.0
        cpu_began = time.process_time_ns()
        blocks = timer.measure(work, self.target_ns, self.budget_ns)
        cpu_ns = time.process_time_ns() - cpu_began
        refusal = blocks.refusal()
        if refusal is None and not math.isfinite(self._number(case, blocks.last_result)):
            refusal = "the timed calls gave results that are not finite"
        if refusal is not None:
            return {"status": "rejected", "reason": refusal}
        worst = checked.worst
        assert worst is not None
        return {
            "status": "ok",
            "reason": "",
            "calls": blocks.calls,
            "elapsed_ns": blocks.elapsed_ns,
            "residual_ns": blocks.residual_ns,
            "event_ns": blocks.event_ns if work.events is not None else [],
            "cpu_ns": cpu_ns,
            "first_call_ns": self.first_ns.get(case.operation),
            "gate": {"name": worst.name, "error": worst.error or 0.0, "bound": worst.bound},
        }

    def _take(self, problem: Problem) -> None:
        """Read a problem's inputs and place them on the device."""
        self.problem = None  # should placing fail, the next case tries again
        given = inputs.load(self.directory, problem)
        size, spec = problem.batch_size, problem.spec
        whole = len(given.X) // size
        self.host = [
            (given.X[i * size : (i + 1) * size], given.y[i * size : (i + 1) * size])
            for i in range(whole)
        ]
        self.placed = [self._place(spec, *batch) for batch in self.host]
        rest = problem.examples % size
        start = whole * size if len(given.X) == problem.examples else 0
        self.host_rest = (given.X[start : start + rest], given.y[start : start + rest])
        self.given, self.spec = given, spec
        self.gates: dict[str, verification.Comparison] = {}
        self.first_ns: dict[str, int] = {}
        self.problem = problem

    def _place(self, spec: MLPSpec, X: Any, y: Any) -> Any:
        return self.implementation.batch_from_numpy(spec, X, y, self.device)

    def _fresh(self, with_state: bool = True) -> tuple[Tree, Tree]:
        """Params and state; a file without an update rule has no state, and needs none."""
        params = self.implementation.params_from_numpy(self.spec, self.given.params, self.device)
        return params, self.implementation.init_state(self.spec, params) if with_state else None

    def _gate(self, operation: str) -> None:
        """Call an operation on the gate's batch and judge it, once per problem."""
        if operation in self.gates:
            return
        implementation, spec, reference = self.implementation, self.spec, self.given.expected
        X, y = self.placed[0]
        params, state = self._fresh(operation == "train_step")
        implementation.synchronize((params, state, X, y))

        def call() -> Tree:
            if operation == "forward":
                return implementation.forward(spec, params, X)
            if operation == "loss_and_grad":
                return implementation.loss_and_grad(spec, params, X, y)
            return implementation.train_step(spec, params, state, X, y, reference.learning_rate)

        found, first_ns = timer.timed(call, implementation.synchronize, time.perf_counter_ns)
        if operation == "train_step":  # the state is the implementation's own affair
            found = found[0], found[2]
        results = implementation.to_numpy(found)
        named = {
            "forward": lambda: {"outputs": results},
            "loss_and_grad": lambda: {"loss with the gradient": results[0], "grads": results[1]},
            "train_step": lambda: {"loss of the step": results[1], "updated": results[0]},
        }[operation]()
        accuracy = verification.declared(implementation, spec)
        self.gates[operation] = verification.judge(spec, reference, named, accuracy)
        self.first_ns[operation] = first_ns

    def _work(self, case: Case) -> timer.Work:
        """The timed callables: loops over calls, with batches that rotate."""
        implementation, spec, device = self.implementation, self.spec, self.device
        end_to_end = case.transfer == "end_to_end"
        batches = self.host if end_to_end else self.placed
        place: Callable[..., Tree] = implementation.batch_from_numpy
        if case.operation == "epoch":
            steps = case.problem.examples // case.problem.batch_size
            batches = [batches[i % len(batches)] for i in range(steps)]
            if len(self.host_rest[1]):
                rest = self._place(spec, *self.host_rest)
                params, state = self._fresh()  # the smaller batch's first call compiles
                implementation.train_step(spec, params, state, rest[0], rest[1], LEARNING_RATE)
                batches.append(self.host_rest if end_to_end else rest)

        itemsize = np.dtype(spec.dtype).itemsize
        call: Callable[..., Tree]
        if case.operation == "forward":
            call, given = implementation.forward, 1  # X
            result_bytes = case.problem.batch_size * spec.layer_sizes[-1] * itemsize
        else:
            call, given = implementation.loss_and_grad, 2  # X, y
            result_bytes = spec.parameters * itemsize
        most = max(1, min(MOST_PENDING, MOST_PENDING_BYTES // result_bytes))

        def independent(calls: int, start: Tree) -> Tree:
            pending: list[Tree] = []
            for i in range(calls):
                batch = batches[i % len(batches)]
                if end_to_end:
                    batch = place(spec, *batch, device)
                found = call(spec, start[0], *batch[:given])
                if end_to_end:  # outputs, or the loss
                    implementation.to_numpy(found if given == 1 else found[0])
                if len(pending) == most:
                    implementation.synchronize(pending)
                    pending = []
                pending.append(found)
            return pending

        def train(calls: int, start: Tree) -> Tree:
            params, state = start
            for i in range(calls):
                X, y = batches[i % len(batches)]
                if end_to_end:
                    X, y = place(spec, X, y, device)
                params, state, loss = implementation.train_step(
                    spec, params, state, X, y, LEARNING_RATE
                )
                if end_to_end:
                    implementation.to_numpy(loss)
            return params, state, loss

        def epoch(calls: int, start: Tree) -> Tree:
            return train(calls * len(batches), start)

        run = {
            "forward": independent,
            "loss_and_grad": independent,
            "train_step": train,
            "epoch": epoch,
        }[case.operation]
        consumes = case.operation in ("train_step", "epoch")
        kept = self._fresh(consumes)
        events = getattr(implementation, "events", lambda _: None)(device)
        return timer.Work(
            start=self._fresh if consumes else lambda: kept,
            run=run,
            synchronize=implementation.synchronize,
            fetch=lambda result: implementation.to_numpy(_loss(case, result)),
            events=events,
        )

    def _number(self, case: Case, result: Tree) -> float:
        """A number that is finite only if what was timed computed something finite."""
        found = result[-1] if case.operation == "forward" else _loss(case, result)
        return float(np.sum(self.implementation.to_numpy(found)))


def _loss(case: Case, result: Tree) -> Tree:
    """The last loss of a block; a block of forward passes has none."""
    if case.operation == "forward":
        return None
    return result[-1][0] if case.operation == "loss_and_grad" else result[2]


def source_hash(implementation: Implementation) -> str:
    """Twelve hex digits of the implementation's source file."""
    path = getattr(implementation, "__file__", None)
    if path is None:
        return environment.UNKNOWN
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _is_out_of_memory(error: BaseException) -> bool:
    # Every framework has its own class for it; what they share is what they say.
    text = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(
        words in text for words in ("out of memory", "outofmemory", "resource_exhausted")
    )
