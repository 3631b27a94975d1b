"""A child process that starts ranks by torchrun's launcher, and ends them all when one ends.

    python_child(LAUNCH) RANKS MODULE THREADS [HOST]

Each rank runs `main()` of the module (`rank`). The request of the parent goes to rank 0, and from
there to the others; only rank 0 answers. Nothing outlives this process, nor this process the
parent: it has a keeper like any child. Where the ranks are on several hosts (`Host`), such a child
of each starts its own.
"""

import ipaddress
import json
import os
import sys
from typing import Any, NamedTuple

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.rank import LastWordsError
from samegrad.implementations.contract.ranks import JOIN_SECONDS, LOOPBACK, OWN, VARIABLES

LAUNCH, RANK = (f"samegrad.implementations.checking.{name}" for name in ("launch", "rank"))


class Host(NamedTuple):
    """One of several hosts whose ranks compute together.

    Attributes:
        number, hosts: which one, and how many there are; that of number 0 has rank 0.
        address, port: of number 0, where all ranks meet.
    """

    number: int = 0
    hosts: int = 1
    address: str = LOOPBACK
    port: int = 0


def command(
    module: str,
    interpreter: str = sys.executable,
    ranks: int = 1,
    threads: str = "all",
    host: Host | None = None,
) -> list[str]:
    """The command line of a child that runs `main()` of a module, in so many ranks.

    Args:
        ranks: on this host.
        threads: of each rank: "all" shares the cores out.
        host: this one, where there are several.
    """
    if ranks == 1 and host is None:
        return processes.python_child(module, interpreter)
    launched = [*processes.python_child(LAUNCH, interpreter), str(ranks), module, threads]
    return launched if host is None else [*launched, json.dumps(host)]


def main() -> None:
    """Start the ranks of the command line, and say which of them ended first, and how."""
    count, module, threads, *several = sys.argv[4:]
    host = Host(*json.loads(several[0])) if several else Host(port=int(os.environ.get(OWN, "0")))
    for name in VARIABLES:  # somebody's who has started us
        os.environ.pop(name, None)
    if _is_loopback(host.address):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import logging

    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what follows says it
    config = LaunchConfig(
        run_id=str(host.port if several else os.getpid()),
        min_nodes=host.hosts,
        max_nodes=host.hosts,
        nproc_per_node=int(count),
        # The hosts' numbers are those of who has started us, or rank 0 might be anywhere.
        rdzv_backend="static" if several else "c10d",
        rdzv_endpoint=f"{host.address}:{host.port}",
        rdzv_configs={
            "timeout": round(JOIN_SECONDS),
            **({"rank": host.number} if several else {"is_host": True}),
        },
        local_addr=LOOPBACK if _is_loopback(host.address) else None,
        max_restarts=0,
        shutdown_timeout=1,
    )
    rank = [*processes.python_child(RANK, sys.executable)[1:], module, threads]
    try:
        launch_agent(config, sys.executable, rank)
    except (RendezvousError, DistError) as error:
        said = " ".join(str(error).split())[:200]
        sys.exit(f"ranks cannot meet at {config.rdzv_endpoint}, is the port in use? {said}")
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        sys.exit(f"rank {number} of {host.hosts * int(count)} {_ended(failure)}")


def _is_loopback(address: str) -> bool:
    """Whether nobody on another host can mean this one by an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a name
        return address == "localhost"


def _ended(failure: Any) -> str:
    """How a rank ended: by which signal, or with which status."""
    if failure.exitcode < 0:
        return f"was killed by {failure.signal_name()}"
    told = failure.message
    said = str(told.get("message", "")) if isinstance(told, dict) else ""
    said = said.removeprefix(f"{LastWordsError.__name__}: ")
    return f"ended with {' '.join(said.split())[:200] or f'exit status {failure.exitcode}'}"
