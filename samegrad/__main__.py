"""`python -m samegrad`."""

import sys

from samegrad.cli import main

sys.exit(main())
