"""The allocator of the process: as it comes, or told to keep the memory that is freed, so that pages are not fetched again."""

from __future__ import annotations

import os
import platform
import sys

import torch

# of glibc: large tensors from the heap instead of pages of their own; 16 GiB at its end may stay free; it grows by 64 MiB
KEEP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}
CHOICES = ("default", "keep")
_PROBE_MIB = 64
_TRIES = 10
_FEWEST_PAGES = _PROBE_MIB // 2  # of 2 MiB


def run_with(choice: str) -> None:
    """Start this process again with the environment that the choice needs, where it has another.

    glibc reads these variables before ``main``: a process that runs already cannot change its mind.

    Args:
        choice: of ``CHOICES``.

    Raises:
        ValueError: ``keep`` on another C library than glibc.
    """
    if choice == "keep" and platform.libc_ver()[0] != "glibc":
        found = platform.libc_ver()[0] or platform.system()
        raise ValueError(
            f"--allocator keep sets variables that glibc reads, this is {found}; preload an allocator that keeps memory instead"
        )
    others = {name: value for name, value in os.environ.items() if name not in KEEP}
    wanted = others | KEEP if choice == "keep" else others
    if wanted != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


def description() -> str:
    """Return what the environment says of the allocator, and whether it keeps what is freed: that is tried."""
    names = [*KEEP, "LD_PRELOAD"]
    settings = " ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))
    faults = page_faults_of_memory_taken_again()
    if faults is None:
        return f"allocator {settings or 'default'}"
    kept = "keeps freed memory" if faults < _FEWEST_PAGES else "gives freed memory back"
    return f"allocator {settings or 'default'}: {kept} ({faults} page faults for {_PROBE_MIB} MiB taken again)"


def page_faults_of_memory_taken_again() -> int | None:
    """Return the page faults of filling 64 MiB that were filled and freed just before; None where the system does not count.

    Pages of 4 KiB make 16,384 of them, of 2 MiB 32. The least of some tries counts: aligned memory does not always fit
    into a hole of just its size, and glibc takes more from the system until there are larger ones.
    """
    if sys.platform == "win32":
        return None
    import resource

    counts = []
    for _ in range(_TRIES):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(_PROBE_MIB * 2**18)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(counts)
