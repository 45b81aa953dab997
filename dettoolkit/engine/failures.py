"""What is left of a run that fails: the reason in its log, and no folder of one that never began."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from dettoolkit.engine.logs import ONLY_IN_FILE, set_up_logging
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import DettoolkitError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def logged_failure() -> Iterator[None]:
    """Write into ``log.txt`` why the block failed; the console has it from whoever catches the exception."""
    try:
        yield
    except KeyboardInterrupt:
        logger.error("interrupted", extra=ONLY_IN_FILE)
        raise
    except DettoolkitError as error:
        logger.error("%s", error, extra=ONLY_IN_FILE)
        raise
    except BaseException:
        logger.exception("the run failed", extra=ONLY_IN_FILE)
        raise


@contextlib.contextmanager
def log_let_go() -> Iterator[None]:
    """Close ``log.txt`` after the block: the process may live on, as a notebook does."""
    try:
        yield
    finally:
        set_up_logging()


@contextlib.contextmanager
def taken_back(folder: RunFolder) -> Iterator[None]:
    """Log to the folder, and should the block fail, take back what it and entering the folder have made there.

    Args:
        folder: of the run; one that was there before stays, with the reason in its log.
    """
    try:
        with logged_failure():
            set_up_logging(folder.path)
            yield
    except BaseException:
        set_up_logging()  # lets go of log.txt
        folder.take_back()
        raise
