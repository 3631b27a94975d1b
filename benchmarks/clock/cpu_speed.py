"""How fast the machine itself is at a moment: a fixed piece of work that no implementation does.

A processor's clock follows its heat and what its other cores do, on a shared machine for others: in
three minutes everything becomes 7 % faster, and slower again. The work is a SHA-256: it stays in
the registers of one core, so its time is that clock's. Over such minutes NumPy's gradient varied by
1.6 % (standard deviation), divided by this time by 0.6 %, scalar Python's by 1.8 and 0.9 %
(correlations 0.93 and 0.88; of a loop in Python 0.76 and 0.80).

The times of a run are not corrected by it: what waits for memory does not follow the clock. It
says how much of a difference between two runs may be the machine's (`rows.cpu_speed_change`).
"""

import hashlib
import platform
from typing import Any

from samegrad.benchmarks.clock import timer

BYTES, REPEATS = 2**19, 5  # 0.3 ms each: an interruption hits one of them


def measure() -> dict[str, Any]:
    """The work in words, and nanoseconds that it takes; 2 ms."""
    data = bytes(BYTES)
    elapsed = [
        timer.timed(lambda: hashlib.sha256(data).digest(), lambda _: None)[1]
        for _ in range(REPEATS)
    ]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    made_by = getattr(hashlib.sha256, "__module__", "")  # OpenSSL's, or Python's own
    work = f"SHA-256 of {BYTES // 1024} KiB, {made_by} of {python}"
    return {"work": work, "elapsed_ns": min(elapsed)}
