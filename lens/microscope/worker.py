"""A process that draws parts: told what by its standard input, answers on its standard output.

It is a plain child, `python -m lens.microscope.worker`, and not one of `multiprocessing`'s: those
run the caller's own script once more, which may be the one that builds the site.

Messages are pickled one after the other. It gets the paths to import from, the number of threads,
a `Job`, then parts; it answers ("ready",), ("made", what a part came to), ("failed", error), and
between these ("beat", n), where n grows as long as the part is worked on.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

#: Seconds between two signs of life.
BEAT = 2.0


class Pulse:
    """How much one thread has computed: stands still where it waits for what never comes."""

    def __init__(self) -> None:
        self._clock: int | None = None

    def of_this_thread(self) -> None:
        """Watch the thread that calls this."""
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(threading.get_ident())

    def beats(self) -> int:
        """Return the tenths of seconds that the thread has computed for."""
        if self._clock is not None:
            return int(10 * time.clock_gettime(self._clock))
        return int(10 * time.process_time())


class _Answers:
    """The way back; several threads may answer."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def __call__(self, *message: Any) -> None:
        data = pickle.dumps(message)
        with self._lock:
            self._out.write(data)
            self._out.flush()


def serve(asked: BinaryIO, answer: _Answers) -> None:
    """Draw what is asked for until nothing is asked any more."""
    waiting: queue.Queue[Any] = queue.Queue()
    sys.path[:] = pickle.load(asked)
    threads = pickle.load(asked)

    import torch

    from lens.microscope.parts import make

    torch.set_num_threads(threads)
    try:
        job = pickle.load(asked)
    except Exception as problem:
        answer("failed", _portable(problem))
        return
    pulse = Pulse()
    pulse.of_this_thread()

    def listen() -> None:
        try:
            while True:
                waiting.put(pickle.load(asked))
        except Exception:  # whoever asks is gone, however it went: so is the reason to go on
            os._exit(0)

    def live() -> None:
        while True:
            time.sleep(BEAT)
            answer("beat", pulse.beats())

    for task in (listen, live):
        threading.Thread(target=task, daemon=True).start()
    answer("ready")
    while True:
        part = waiting.get()
        try:
            made = make(job, part)
        except Exception as problem:
            answer("failed", _portable(problem))
        else:
            answer("made", made)


def _portable(problem: Exception) -> Exception:
    """Give an error that another process can read."""
    try:
        pickle.loads(pickle.dumps(problem))
        return problem
    except Exception:
        return RuntimeError("".join(traceback.format_exception(problem)))


if __name__ == "__main__":
    # Who asks ends its workers itself; the keyboard is not theirs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not print into the answers
    serve(sys.stdin.buffer, _Answers(channel))
