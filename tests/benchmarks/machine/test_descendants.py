"""CPU time of what a process has started."""

import os
import subprocess
import sys
import time

import pytest

from samegrad.benchmarks.machine import system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")
BUSY = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass"


def test_child_at_work_counts_and_own_work_does_not():
    """While it runs, and after it has ended."""
    before = system.descendants_cpu_ns(os.getpid())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    own = system.descendants_cpu_ns(os.getpid()) - before

    with subprocess.Popen([sys.executable, "-c", f"{BUSY}\ninput()"], stdin=subprocess.PIPE) as one:
        deadline = time.monotonic() + 60
        while system.descendants_cpu_ns(os.getpid()) - before < 1e8:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        one.communicate(b"\n")

    assert own < 2e7
    assert 8e7 < system.descendants_cpu_ns(os.getpid()) - before


def test_process_that_is_gone_has_started_nothing():
    """No traceback."""
    assert 0 == system.descendants_cpu_ns(2**22 + 1)
