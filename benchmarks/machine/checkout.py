"""The clone that samegrad runs from: its commit, which a journal names."""

import os
from pathlib import Path

from samegrad.benchmarks.machine.programs import output

UNKNOWN = "unknown"
ROOT = Path(__file__).resolve().parents[2]  # of a checkout; installed, samegrad's own folder
CODE = (":(top,exclude)*.md", ":(top,exclude)reports/results")  # all of a clone but these


def commit() -> str:
    """The checkout's commit, "+changes" if files differ; SAMEGRAD_COMMIT where git cannot say."""
    if os.environ.get("SAMEGRAD_COMMIT"):
        return os.environ["SAMEGRAD_COMMIT"]
    if not (ROOT / ".git").exists():
        return UNKNOWN
    head = output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    if not head:
        return UNKNOWN
    return head + ("+changes" if changed(ROOT) else "")


def changed(clone: Path) -> str:
    """What files of a clone differ from their commit, as git says it, or "".

    Documents and published runs are none of it: nothing that is measured reads them, and one run's
    are written before the next is measured.
    """
    status = ("status", "--porcelain", "--untracked-files=no")
    return output("git", "-C", str(clone), *status, "--", *CODE)
