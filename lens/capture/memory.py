"""How much memory there is: a run that cannot fit is refused before it starts."""

from __future__ import annotations

from pathlib import Path

from lens.errors import TooLarge

__all__ = ["available_memory", "check_fits"]

# The limit and the use of a container (cgroup version 2, then 1).
CONTAINERS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_memory() -> int | None:
    """Bytes that can still be had, the limit of a container counted; None where nothing tells."""
    found = [_of_machine(), *(_of_container(*paths) for paths in CONTAINERS)]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def check_fits(needed: int, what: str, advice: str) -> None:
    """Refuse a result that would not fit.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What would take them.
    advice : str
        What takes fewer.

    Raises
    ------
    TooLarge
        If more than is available would be needed, with both numbers.
    """
    free = available_memory()
    if free is not None and needed > free:
        raise TooLarge(
            f"{what} would take {_size(needed)} of memory and {_size(free)} are free; {advice}."
        )


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None  # not Linux
    line = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return int(line.split()[1]) * 1024 if line else None


def _of_container(limit: str, used: str) -> int | None:
    try:
        return max(0, int(Path(limit).read_text()) - int(Path(used).read_text()))
    except (OSError, ValueError):
        return None  # no container of this kind, or one without a limit ("max")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
