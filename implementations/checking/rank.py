"""One of several ranks, started by `launch`: `python_child(RANK) MODULE THREADS`.

It is bound to its share of the cores before a framework is imported. Rank 0 speaks with the parent
as any child does; the others get the request from it, and what they would answer is dropped.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence

from samegrad.implementations.checking import processes
from samegrad.implementations.contract import ranks

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")


def share(cores: Sequence[int], number: int, count: int, threads: str) -> list[int]:
    """The cores of one of `count` ranks on a host; those of others, too, where there are too few.

    Args:
        threads: of each rank: "all" shares the cores out.
    """
    each = max(1, len(cores) // count) if threads == "all" else min(int(threads), len(cores))
    return sorted({cores[(number * each + i) % len(cores)] for i in range(each)})


def main() -> None:
    """Run `main()` of the module of the command line, as one of the ranks."""
    module, threads = sys.argv[-2:]
    if hasattr(os, "sched_setaffinity"):
        number, count = ranks.local()
        own = share(sorted(os.sched_getaffinity(0)), number, count, threads)
        os.sched_setaffinity(0, own)
        os.environ |= dict.fromkeys(THREADS, str(len(own)))
    from torch.distributed.elastic.multiprocessing.errors import record

    record(_told)(module)  # the launcher is told of an exception


class LastWordsError(Exception):
    """What a rank says at its end."""


def _told(module: str) -> None:
    """Serve; what would be printed at the end is raised, as the launcher hears of nothing else."""
    try:
        _serve(module)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise LastWordsError(ended.code) from None
        raise


def _serve(module: str) -> None:
    """Have the request at hand, and answer it."""
    if ranks.rank():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reading, _ = os.pipe()  # whose other end stays open: the parent is gone when rank 0 is
        os.dup2(reading, 0)
        request = ranks.group().store.get("request")
    else:
        request = _line()
        ranks.group().store.set("request", request)
    processes.given(json.loads(request))
    importlib.import_module(module).main()


def _line() -> bytes:
    """The request, a line of standard input."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 65536)  # of one request: the next one comes when this is answered
        if not read:
            sys.exit("the parent is gone")
        line += read
    return line
