"""From journals to tables, figures and a page. Reads results; measures and runs nothing."""

from samegrad.reports.render import render

__all__ = ["render"]
