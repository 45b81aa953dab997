#!/usr/bin/env python
"""Time dettoolkit and torchvision on the same work, in turn: ``python tools/benchmark.py --help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.speed.__main__ import main

if __name__ == "__main__":
    main()
