"""``python -m dettoolkit``: the same as the console command."""

import sys

from dettoolkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
