"""kill -9 at random moments: is the store, gone on with, the same bit for bit?

    python benchmarks/kill.py --rounds 50
    python benchmarks/kill.py --rounds 50 --engine ray

Each round begins a run of its own, kills it (with Ray: one of its workers) at a random moment, once
or several times, runs it again to its end and compares every file with those of a run that nobody
disturbed. The exit status is 1 if one differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import lens
from lens.store.lock import LOCK

BLOCK = 16  # rows


def small_model() -> lens.model.Model:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 32, 5, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2), nn.ReLU())
    return lens.wrap(nn.Sequential(*layers).eval(), name="small", example=torch.zeros(1, 3, 32, 32))


def run(store: Path, images: np.ndarray, engine: str) -> None:
    lens.capture(
        small_model(), images, ["2", "3"], store=store, reduce="top4", quantize="uint8",
        batch_size=4, block_rows=BLOCK, progress=False, engine=engine, workers=2,
    )  # fmt: skip


def bits(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != LOCK
    }


def child(store: Path, images: np.ndarray) -> int:
    """Begin a run in a process of its own."""
    number = os.fork()
    if number == 0:
        try:
            run(store, images, "local")
        except BaseException as error:
            print(f"the run failed: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return number


def finish(number: int) -> bool:
    """Wait for a run; tells whether it came to its end."""
    _, status = os.waitpid(number, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a run failed")
    return os.WIFEXITED(status)


def killed_processes(store: Path, images: np.ndarray, span: float, times: int) -> int:
    """Kill the run some times at random moments, then let it end; returns the kills that hit."""
    hits = 0
    for _ in range(times):
        number = child(store, images)
        time.sleep(random.uniform(0, span))
        os.kill(number, signal.SIGKILL)
        hits += not finish(number)
    finish(child(store, images))
    return hits


def killed_workers(store: Path, images: np.ndarray, span: float, times: int) -> int:
    """Kill workers of a Ray run when so many blocks are done; returns the kills that hit.

    A moment is a number of blocks here: starting takes most of the time.
    """
    hits = [0]
    ended = threading.Event()
    moments = sorted(random.uniform(0, 0.7) * len(images) / BLOCK for _ in range(times))

    def kill() -> None:
        for moment in moments:
            while len(list(store.glob("blocks/*.json"))) < moment and not ended.is_set():
                time.sleep(0.005)
            found = ray_workers()
            if found and not ended.is_set():
                os.kill(random.choice(found), signal.SIGKILL)
                hits[0] += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run(store, images, "ray")
    finally:
        ended.set()
        killer.join()
    return hits[0]


def ray_workers() -> list[int]:
    """Numbers of the processes that hold our actors: below this process, and no others."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            titles[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, IndexError):
            continue
        parents[int(folder.name)] = int(fields[1])
    actors = [number for number, title in titles.items() if title.startswith("ray::Worker")]
    return [number for number in actors if os.getpid() in ancestors(number, parents)]


def ancestors(number: int, parents: dict[int, int]) -> list[int]:
    found = []
    while number in parents:
        number = parents[number]
        found.append(number)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    images = rng.integers(0, 255, (options.images, 32, 32, 3), dtype=np.uint8)
    ray = options.engine == "ray"
    if ray:
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # of a busy machine
        import ray as engine

        engine.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    folder = Path(tempfile.mkdtemp(prefix="lens-kill-"))
    same = hits = 0
    try:
        whole = folder / "whole"
        # With Ray too, what nobody disturbed is a run of one process: the engines agree.
        start = time.perf_counter()
        run(whole, images, "local") if ray else finish(child(whole, images))
        span = time.perf_counter() - start
        wanted = bits(whole)
        disturb = killed_workers if ray else killed_processes
        for number in range(options.rounds):
            store = folder / f"round {number}"
            hits += disturb(store, images, span, random.choice((1, 1, 2, 3)))
            same += bits(store) == wanted
            shutil.rmtree(store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    whom = "workers" if ray else "runs"
    print(f"{same} of {options.rounds} stores equal bit for bit, {hits} {whom} killed")
    sys.exit(0 if same == options.rounds else 1)


if __name__ == "__main__":
    main()
