"""Joins benchmarks (which measures) and reports (which shows); nobody else does."""

from samegrad.cli import pytest_samegrad_report

__all__ = ["pytest_samegrad_report"]
pytest_plugins = ["samegrad.benchmarks.plugin"]
