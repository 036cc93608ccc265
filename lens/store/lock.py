"""One writer a store: a second one is told who the first is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lens.errors import StoreBusy
from lens.store.place import Place

try:
    import fcntl
except ImportError:  # Windows: the file's own word has to do
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "writer_of", "writing_to"]

LOCK = "writer.json"
#: Seconds without a sign of life after which a writer on another machine counts as dead, and
#: between two signs.
STALE = 600.0
SIGN = 30.0
#: When a process began, where the system does not tell: its signs of life decide.
UNKNOWN = "unknown"


@contextmanager
def writing_to(place: Place) -> Iterator[Callable[[], None]]:
    """Be the only writer of a store.

    On one machine the operating system holds the lock, so that it ends with its process however
    that ends. Elsewhere (object stores, Windows) the lock is a file that tells host, process and
    the last sign of life; it is stale when that process is gone or gave no sign for ten minutes.

    Yields
    ------
    callable
        Gives a sign of life; to be called now and then.

    Raises
    ------
    StoreBusy
        If another process is writing, with its host and number.
    """
    if place.folder is not None and fcntl is not None:
        with place.writing():
            place.folder.mkdir(parents=True, exist_ok=True)
        with _held(place):
            yield lambda: None
        return
    owner = _owner()
    other = _read(place)
    if other is not None and other.get("id") != owner["id"] and _alive(other):
        raise _busy(place, other)
    place.write(LOCK, json.dumps(owner).encode())
    last = [time.monotonic()]

    def sign() -> None:
        if time.monotonic() - last[0] > SIGN:
            last[0] = time.monotonic()
            place.write(LOCK, json.dumps(_owner()).encode())

    try:
        yield sign
    finally:
        place.remove(LOCK)


def writer_of(place: Place) -> str | None:
    """Tell who is writing a store, None if nobody is."""
    owner = _read(place)
    return None if owner is None or not _alive(owner) else _named(owner)


@contextmanager
def _held(place: Place) -> Iterator[None]:
    """Hold the operating system's lock on the file."""
    assert place.folder is not None
    path = place.folder / LOCK
    while True:
        with place.writing():
            file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise _busy(place, _read(place) or {}) from error
        try:
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            same = False
        if same:
            break
        file.close()  # the writer before us deleted it between our two looks
    try:
        with place.writing():
            file.truncate(0)
            file.write(json.dumps(_owner()))
            file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        file.close()


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "id": f"{socket.gethostname()} {pid} {_started(pid)}",
        "started": _started(pid),
        "sign": time.time(),
    }


def _read(place: Place) -> dict[str, Any] | None:
    try:
        found = json.loads(place.read(LOCK))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _alive(owner: dict[str, Any]) -> bool:
    """Tell whether a writer still is; a number that another process got since is not it."""
    if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
        started = _started(owner["pid"])
        if started is None or started != UNKNOWN:
            return started is not None and started == owner.get("started")
    sign = owner.get("sign")
    return isinstance(sign, (int, float)) and time.time() - sign < STALE


def _started(pid: int) -> str | None:
    """When a process of this machine began, as the system counts; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        pass
    if os.path.isdir("/proc/self") or os.name == "nt":  # noqa: PTH112
        return None if os.name != "nt" else UNKNOWN  # where signal 0 would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return UNKNOWN


def _busy(place: Place, owner: dict[str, Any]) -> StoreBusy:
    return StoreBusy(
        f"Another process is writing {place} ({_named(owner)}); wait for it to end, or give store= "
        f"another name."
    )


def _named(owner: dict[str, Any]) -> str:
    return f"process {owner.get('pid', '?')} on {owner.get('host', 'this machine')}"
