"""What is timed, how, and what came out."""

from samegrad.benchmarks.api import measure

__all__ = ["measure"]
