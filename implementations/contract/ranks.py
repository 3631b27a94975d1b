"""Ranks: processes that compute one network together. Which one is this, and are all alike?

torchrun and srun start them, and say by environment variables who is who. They meet in torchrun's
store (on srun, in one of rank 0), where each says what code and data it has before a framework's
own group begins, so that a rank that differs, or is missing, is named. No array that is computed
goes through it; files of inputs do, to hosts that have none.
"""

import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from samegrad.implementations.contract.layers import refuse_mask
from samegrad.implementations.contract.spec import Tree, items
from samegrad.implementations.contract.texts import in_one_line

# What torchrun and (in a job's step) srun call them.
RANK, SIZE = ("RANK", "SLURM_PROCID"), ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
LOCAL_RANK = ("LOCAL_RANK", "SLURM_LOCALID")
LOCAL_SIZE = ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE")
OF_SLURM = "SLURM_STEP_NODELIST"  # a batch script has the others, too, and is no rank
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
OWN = "SAMEGRAD_PORT"  # where the ranks meet, if it is to be a certain one; JAX's is the next one
LOOPBACK = "127.0.0.1"
VARIABLES = tuple(name for name, _ in (RANK, SIZE, LOCAL_RANK, LOCAL_SIZE))
JOIN_SECONDS = 60.0  # for all ranks to have joined; the slowest of them imports a framework
STEP_SECONDS = 20.0  # within which all have done what one has
PART_BYTES, LEAST_RATE = 2**20, 2e6  # of what goes through the store; byte/s of the slowest network
GRACE_SECONDS = 3.0  # for rank 0 to fail like another one


class RanksError(RuntimeError):
    """The ranks are not alike, or one is missing."""


def rank() -> int:
    """The number of this rank; 0 where there is one."""
    return _variable(RANK, 0)


def size() -> int:
    """How many ranks there are."""
    return _variable(SIZE, 1)


def local() -> tuple[int, int]:
    """The number of this rank on its host, and how many are there."""
    return _variable(LOCAL_RANK, 0), _variable(LOCAL_SIZE, size())


def _variable(names: tuple[str, str], default: int) -> int:
    ours, slurms = names
    text = os.environ.get(ours) or (os.environ.get(slurms, "") if OF_SLURM in os.environ else "")
    return int(text) if text.isdigit() else default


class Rows:
    """Rows of a batch that ranks share out, as a backend's `place` gives them.

    Attributes:
        array: those of this rank, or an array over all ranks.
        count: of the whole batch; in an array over all ranks others may follow, that count nothing.
    """

    __slots__ = ("array", "count")

    def __init__(self, array: Any, count: int) -> None:
        """Rows as they are placed."""
        self.array, self.count = array, count

    def __len__(self) -> int:
        return self.count


def arrays_of(masks: Tree, X: Rows) -> Tree:
    """The arrays of dropout masks that are placed like a batch; None of None."""
    for mask in masks or ():
        refuse_mask(mask, X)
    return None if masks is None else [mask.array for mask in masks]


def own_rows(count: int) -> slice:
    """The rows of this rank: of 33 over 2 the first has 17."""
    each, more = divmod(count, size())
    first = rank() * each + min(rank(), more)
    return slice(first, first + each + (rank() < more))


class Group:
    """All ranks, in the store where they meet.

    Attributes:
        store: torch's.
        comparing: whether results are compared between the ranks whenever they are fetched.
    """

    def __init__(self, store: Any) -> None:
        """Nothing has been said yet."""
        self.store, self.comparing = store, True
        self._gathered = self._told = 0

    def gather(self, value: str, seconds: float = STEP_SECONDS) -> list[str]:
        """What each rank says here, by number.

        Raises:
            RanksError: one says nothing.
        """
        self._gathered += 1
        key = f"gather{self._gathered}"
        self.store.set(f"{key}/{rank()}", value)
        said, until = list[str](), time.monotonic() + seconds
        for other in range(size()):
            said.append(self._awaited(f"{key}/{other}", other, until, seconds))
        return said

    def _awaited(self, key: str, other: int, until: float, seconds: float) -> str:
        left = datetime.timedelta(seconds=max(0.05, until - time.monotonic()))
        try:
            self.store.wait([key], left)
        except Exception as error:  # torch's, of several types, by version
            raise RanksError(
                f"rank {other} of {size()} has not answered rank {rank()} within {seconds:.0f} s"
            ) from error
        return str(self.store.get(key), "utf-8")

    def agree(self, what: str, value: str, seconds: float = STEP_SECONDS) -> None:
        """Return if all ranks have the same here.

        Raises:
            RanksError: one differs from rank 0, or says nothing.
        """
        first, *others = self.gather(value, seconds)
        for other, theirs in enumerate(others, 1):
            if theirs != first:
                raise RanksError(
                    f"rank {other} has another {what} than rank 0: {theirs:.60}, not {first:.60}"
                )

    def same_bits(self, what: str, trees: Tree) -> None:
        """Return if all ranks hold the same bits of some NumPy trees; else raise RanksError."""
        self.agree(what, digest(_arrays(trees)))

    def decided(self, value: Any) -> Any:
        """What rank 0 says, as plain data."""
        return json.loads(self.gather(json.dumps(value))[0])

    def handed_out(self, data: bytes | None) -> bytes:
        """Some bytes of rank 0, for all; the others give None.

        Raises:
            RanksError: one has not got them.
        """
        self._gathered += 1
        key = f"data{self._gathered}"
        if data is None:
            count = int(self._command(f"{key}/parts"))
            data = b"".join(self.store.get(f"{key}/{part}") for part in range(count))
            self.gather("got it", _to_send(data))
            return data
        starts = range(0, len(data), PART_BYTES)
        for part, start in enumerate(starts):
            self.store.set(f"{key}/{part}", data[start : start + PART_BYTES])
        self.store.set(f"{key}/parts", str(len(starts)))
        self.gather("got it", _to_send(data))
        for part in range(len(starts)):
            self.store.delete_key(f"{key}/{part}")
        return data

    def tell(self, command: Mapping[str, Any]) -> None:
        """Rank 0: have the others do something, once they have done what they were told before.

        Raises:
            RanksError: one could not do that.
        """
        until = time.monotonic() + STEP_SECONDS
        for other in range(1, size()) if self._told else ():
            said = self._awaited(f"done{self._told}/{other}", other, until, STEP_SECONDS)
            if bool(said) != self.store.check([f"failed{self._told}"]):
                raise RanksError(f"rank {other}: {said or 'it did what rank 0 could not do'}")
        self._told += 1
        self.store.set(f"command{self._told}", json.dumps(command))

    def failed(self, error: BaseException) -> None:
        """Rank 0: it could not do what it told; return if all others failed in the same way.

        Raises:
            RanksError: they did not, or are gone.
        """
        if not self._told:
            return
        self.store.set(f"failed{self._told}", "")
        until = time.monotonic() + STEP_SECONDS
        for other in range(1, size()):
            said = self._awaited(f"done{self._told}/{other}", other, until, STEP_SECONDS)
            if said != in_one_line(error):
                reason = f"rank {other}: {said or 'nothing wrong'}; rank 0: {in_one_line(error)}"
                raise RanksError(reason) from error

    def follow(self, do: Callable[[dict[str, Any]], None]) -> None:
        """Another rank: do what rank 0 tells, until the process is ended.

        Raises:
            RanksError: this one could not do what rank 0 could.
        """
        while True:
            self._told += 1
            command = json.loads(self._command(f"command{self._told}"))
            said = ""
            try:
                do(command)
            except Exception as error:
                said = in_one_line(error)
            self.store.set(f"done{self._told}/{rank()}", said)
            if said:
                until = time.monotonic() + GRACE_SECONDS
                while not self.store.check([f"failed{self._told}"]):
                    if time.monotonic() > until:
                        raise RanksError(said)
                    time.sleep(0.05)

    def _command(self, key: str) -> str:
        """However long that takes; without the store there is nothing to wait for."""
        while True:
            try:
                self.store.wait([key], datetime.timedelta(seconds=600))
                return str(self.store.get(key), "utf-8")
            except Exception as error:
                if "imeout" not in f"{type(error).__name__} {error}":
                    raise


@cache
def group() -> Group:
    """The group of this process, once all of its ranks have joined.

    Raises:
        RanksError: there is one rank only; or one has not joined, or is of another size.
    """
    if size() == 1:
        raise RanksError("there is one rank, and nobody to agree with")
    made = Group(connected())
    made.agree("number of ranks", str(size()), JOIN_SECONDS)
    return made


def _to_send(data: bytes) -> float:
    """Seconds within which all have got some data."""
    return STEP_SECONDS + len(data) / LEAST_RATE


def connected() -> Any:
    """A connection of its own to the store where all ranks meet: who waits in one has it alone.

    Raises:
        RanksError: there is none.
    """
    from torch.distributed.rendezvous import rendezvous

    joining = datetime.timedelta(seconds=JOIN_SECONDS)
    address = f"{os.environ.get(ADDRESS, LOOPBACK)}:{os.environ.get(PORT, '')}"
    try:
        store, _, _ = next(rendezvous("env://", rank(), size(), timeout=joining))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise RanksError(f"rank {rank()} finds no rank 0 at {address}: {reason}") from error
    return store


def decided(value: Any) -> Any:
    """What rank 0 decides, where there are several: what depends on a clock must not differ."""
    return value if size() == 1 else group().decided(value)


def free_port(number: int = 0) -> int:
    """A port of this host that nothing listens at, or one of those from SAMEGRAD_PORT on.

    Args:
        number: of what listens there.
    """
    import socket

    if own := os.environ.get(OWN):
        return int(own) + number
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def digest(arrays: Iterable[Any]) -> str:
    """Sixteen hex digits of the bits of some arrays."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


def _arrays(tree: Tree) -> Iterable[Any]:
    held = items(tree)
    for branch in [branch for _, branch in held] if held is not None else ():
        yield from _arrays(branch)
    if held is None and tree is not None:
        yield tree
