"""Parts of a site drawn by one process, by several, or by a Ray cluster.

The parts are the same ones whoever draws them, and nothing of a part depends on another: the web
site has the same bytes. (In float32, the number of threads may decide last digits of pixels; in
bfloat16, it does not.)
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any

import cloudpickle
import torch

from lens.errors import BadInput, WorkerLost
from lens.featurevis.loop.batching import free_bytes
from lens.microscope.parts import Job, Made, Part, make
from lens.microscope.plan import Engine

#: Seconds without a sign of work after which a process hangs, those that its start may take, and
#: those between two looks.
PATIENCE = 600.0
START = 600.0
LOOK = 1.0
#: Processes that may die one after the other with no part made in between.
DEATHS = 5
#: By default, no process starts for fewer parts than these, or where less memory than this is free
#: for each of them.
WORTH = 4
ROOM = 1.5e9


def drawn_by(
    job: Job, todo: Sequence[Part], workers: int | None, engine: Engine
) -> Generator[tuple[Part, Made], None, None]:
    """Draw parts, in the order in which they are done.

    Parameters
    ----------
    workers
        How many processes (1: this one), or actors of the cluster; None chooses.
    engine
        "local" for this machine, "ray" for a cluster.

    Raises
    ------
    WorkerLost
        If workers die again and again.
    """
    if not todo:
        return
    if engine == "ray":
        from lens.microscope.on_ray import drawn_on_ray

        yield from drawn_on_ray(job, todo, workers)
        return
    count = min(workers or _fitting(job, len(todo)), len(todo))
    if count > 1 or workers not in (None, 1):
        yield from _Crew(job, todo, count).run()
        return
    for part in todo:
        yield part, make(job, part)


def _fitting(job: Job, parts: int) -> int:
    """Choose a number of processes: one a thread, as far as there are parts and memory for them."""
    if job.site.model.device.type != "cpu":
        return 1
    room = free_bytes(torch.device("cpu")) // ROOM
    return max(1, int(min(torch.get_num_threads(), parts // WORTH, room)))


class _Seat:
    """The place of a process, filled anew when it dies."""

    def __init__(self, job: bytes, threads: int, answers: queue.Queue[Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lens.microscope.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(threads),
        )  # fmt: skip
        self.part: Part | None = None
        self.ready = False
        self.moved = time.monotonic()
        self.beats = -1
        self._answers = answers
        first = [pickle.dumps(sys.path), pickle.dumps(threads), job]
        self._listener = threading.Thread(target=self._listen, args=(first,), daemon=True)
        self._listener.start()

    def ask(self, part: Part) -> None:
        """Have a part drawn; a process that is gone will be found so by what listens to it."""
        self.part, self.moved = part, time.monotonic()
        with suppress(OSError):
            self._send(pickle.dumps(part))

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._listener.join(5)  # there is nothing to read any more
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError, ValueError):
                pipe.close()  # type: ignore[union-attr]

    def _send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _listen(self, first: list[bytes]) -> None:
        """Tell what it is to do, then pass on its answers until it is gone."""
        assert self.process.stdout is not None
        try:
            for data in first:
                self._send(data)
            while True:
                self._answers.put((self, pickle.load(self.process.stdout)))
        except Exception:  # cut off in the middle of an answer, or between two
            self._answers.put((self, ("gone",)))


class _Crew:
    """Processes, and the parts that they are at."""

    def __init__(self, job: Job, todo: Sequence[Part], count: int) -> None:
        try:
            self._job = cloudpickle.dumps(job)
        except Exception as problem:
            raise BadInput(
                f"{job.site.model.name} can't be sent to other processes "
                f"({type(problem).__name__}: {problem}); workers=1 draws in this one."
            ) from problem
        self._threads = max(1, torch.get_num_threads() // count)
        self._waiting, self._count = deque(todo), count
        self._answers: queue.Queue[Any] = queue.Queue()
        self._seats: list[_Seat] = []
        self._deaths = 0

    def run(self) -> Iterator[tuple[Part, Made]]:
        """Yield parts as they are made; those of a process that died are made again."""
        left = len(self._waiting)
        try:
            for _ in range(self._count):
                self._hire()
            while left:
                found = self._next()
                if found is not None:
                    left -= 1
                    yield found
        finally:
            for seat in self._seats:
                seat.close()

    def _hire(self) -> None:
        self._seats.append(_Seat(self._job, self._threads, self._answers))

    def _next(self) -> tuple[Part, Made] | None:
        try:
            seat, (kind, *told) = self._answers.get(timeout=LOOK)
        except queue.Empty:
            self._look_around()
            return None
        if seat not in self._seats:  # last words
            return None
        if kind == "gone":
            self._replace(seat)
        elif kind == "failed":
            raise told[0]
        elif kind == "beat":
            if told[0] != seat.beats:
                seat.beats, seat.moved = told[0], time.monotonic()
            self._look_around()
        else:
            made = (seat.part, told[0]) if kind == "made" else None
            seat.ready, seat.part, seat.moved = True, None, time.monotonic()
            self._hand_out(seat)
            if made is not None:
                self._deaths = 0
                return made
        return None

    def _hand_out(self, seat: _Seat) -> None:
        if self._waiting:
            seat.ask(self._waiting.popleft())

    def _replace(self, seat: _Seat) -> None:
        """Put a new process into a seat; the part of the old one comes first."""
        self._deaths += 1
        if self._deaths > DEATHS:
            raise WorkerLost(
                f"{self._deaths} processes died one after the other without a part drawn (often "
                f"they ran out of memory: fewer workers or a smaller batch_size take less); run it "
                f"again, it goes on where it stopped."
            )
        seat.close()
        self._seats.remove(seat)
        if seat.part is not None:
            self._waiting.appendleft(seat.part)
        for other in self._seats:  # whoever stands idle takes it meanwhile
            if other.ready and other.part is None:
                self._hand_out(other)
        self._hire()

    def _look_around(self) -> None:
        """Replace processes that have not worked for long: they hang."""
        for seat in list(self._seats):
            limit = PATIENCE if seat.ready else START
            busy = seat.part is not None or not seat.ready
            if busy and time.monotonic() - seat.moved > limit:
                self._replace(seat)


def _environment(threads: int) -> dict[str, str]:
    """What a process imports from, and how many threads libraries take that ask just once."""
    here = [path or "." for path in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(here), "OMP_NUM_THREADS": str(threads)}
