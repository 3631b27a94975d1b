"""torch's network, and torch's own clock beside ours."""

from samegrad.implementations.mlp_torch import *  # everything


def other_clock(statement):
    """Seconds of one call by torch.utils.benchmark.Timer."""
    from torch.utils.benchmark import Timer

    timer = Timer("statement()", globals={"statement": statement})
    return timer.blocked_autorange(min_run_time=0.3).median
