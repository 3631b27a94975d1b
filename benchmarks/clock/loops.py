"""A fixed loop, by which a core shows that somebody else uses it whom the system does not see.

On a virtual machine a core is often a hyperthread, half of one, and its other half another
machine's. No counter says so: on such a machine the loop took 1.0 to 2.0 times its least, changing
within milliseconds, while a SHA-256 took 1.02 times its own.
"""

import time

LOOPS, TURNS = 20, 8000  # 0.3 ms each, after as many that wake the core up
# So many times its least it takes, half of the time, where others use the same cores: 1.4 to 1.9
# were measured. A clock that follows heat and load moves by a tenth.
SHARED = 1.25


def loops() -> tuple[int, ...]:
    """Nanoseconds that the loop takes, again and again."""
    taken = []
    for _ in range(2 * LOOPS):
        began, total = time.perf_counter_ns(), 0
        for i in range(TURNS):
            total += i
        taken.append(time.perf_counter_ns() - began)
    return tuple(taken[LOOPS:])
