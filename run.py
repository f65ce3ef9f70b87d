"""wiretape's command line: `uv run run.py --help`."""

from __future__ import annotations

import sys

from addons.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
