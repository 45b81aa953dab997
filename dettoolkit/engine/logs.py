"""Where log lines go: the console and ``log.txt``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from termcolor import colored

from dettoolkit.distributed import is_main_process

ONLY_IN_FILE = {"only_in_file": True}  # the ``extra`` of a line that the console gets in another way
_COLORS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        color = _COLORS.get(record.levelno)
        mark = colored(record.levelname.lower() + ": ", color) if color else ""  # termcolor leaves files and pipes alone
        return f"{self.formatTime(record, '%H:%M:%S')}  {mark}{record.getMessage()}"


def set_up_logging(folder: Path | None = None) -> None:
    """Send the toolkit's log lines of the main process to the console and, with a folder, to ``log.txt`` in it.

    Other processes only tell warnings. Calling it again replaces the handlers, so that a notebook has each line once.

    Args:
        folder: of the run.
    """
    root = logging.getLogger("dettoolkit")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    main = is_main_process()
    root.setLevel(logging.INFO if main else logging.WARNING)
    root.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_Console())
    console.addFilter(lambda record: not getattr(record, "only_in_file", False))
    root.addHandler(console)
    if main and folder is not None:
        file = logging.FileHandler(folder / "log.txt", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)
