"""What is timed, how, and what came out."""

from benchmarks.api import measure

__all__ = ["measure"]
