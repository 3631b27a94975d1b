"""A child process that starts ranks by torchrun's launcher, and ends them all when one ends.

    python_child(LAUNCH) RANKS MODULE THREADS

Each rank runs `main()` of the module (`rank`). The request of the parent goes to rank 0, and from
there to the others; only rank 0 answers. Nothing outlives this process, nor this process the
parent: it has a keeper like any child.
"""

import os
import sys
from typing import Any

from samegrad.implementations.checking import processes
from samegrad.implementations.contract.ranks import JOIN_SECONDS, LOOPBACK, OWN, VARIABLES

LAUNCH, RANK = (f"samegrad.implementations.checking.{name}" for name in ("launch", "rank"))


def command(
    module: str, interpreter: str = sys.executable, ranks: int = 1, threads: str = "all"
) -> list[str]:
    """The command line of a child that runs `main()` of a module, in so many ranks.

    Args:
        threads: of each rank: "all" shares the cores out.
    """
    if ranks == 1:
        return processes.python_child(module, interpreter)
    return [*processes.python_child(LAUNCH, interpreter), str(ranks), module, threads]


def main() -> None:
    """Start the ranks of the command line, and say which of them ended first, and how."""
    count, module, threads = sys.argv[-3:]
    for name in VARIABLES:  # somebody's who has started us
        os.environ.pop(name, None)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import logging

    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what follows says it
    config = LaunchConfig(
        run_id=str(os.getpid()),
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=int(count),
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOOPBACK}:{os.environ.get(OWN, '0')}",
        rdzv_configs={"is_host": True, "timeout": round(JOIN_SECONDS)},
        local_addr=LOOPBACK,
        max_restarts=0,
        shutdown_timeout=1,
    )
    rank = [*processes.python_child(RANK, sys.executable)[1:], module, threads]
    try:
        launch_agent(config, sys.executable, rank)
    except RendezvousError as error:
        sys.exit(f"ranks cannot meet at {config.rdzv_endpoint}, is the port in use? {error}")
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        sys.exit(f"rank {number} of {count} {_ended(failure)}")


def _ended(failure: Any) -> str:
    """How a rank ended: by which signal, or with which status."""
    if failure.exitcode < 0:
        return f"was killed by {failure.signal_name()}"
    told = failure.message
    said = str(told.get("message", "")) if isinstance(told, dict) else ""
    return f"ended with {' '.join(said.split())[:200] or f'exit status {failure.exitcode}'}"
