"""The same as ``dettoolkit set-thresholds``; copy it to start a tool of your own."""

import sys

from dettoolkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("set-thresholds"))
