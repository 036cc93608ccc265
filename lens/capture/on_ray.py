"""The blocks of a store on a Ray cluster: one model an actor, the driver writes.

Blocks are the same as in one process and nothing of a block depends on any other, so the store has
the same bits, whoever made which block (on machines that compute alike, with as many threads).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from lens.capture.block_run import made_blocks
from lens.capture.sources import Source
from lens.errors import LensError, MissingOption, WorkerLost
from lens.model import Model
from lens.sites import Site
from lens.store import blocks
from lens.store.layout import Layout

# Ray replaces the driver's `print` when it reports a dead worker; numba, and so UMAP, compiles
# with no other one than Python's.
os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
except ImportError as error:
    raise MissingOption("engine='ray' needs Ray: `pip install 'lens-workbench[ray]'`.") from error

__all__ = ["done_on_ray", "made_on_ray"]

#: Blocks that wait at an actor beside the one that it makes: it never stands idle, and no more
#: results than these are in the cluster's memory.
DEPTH = 2
#: Seconds without a batch after which an actor hangs, those that its start may take before it
#: answers for the first time, and those between two looks.
PATIENCE = 600.0
START = 600.0
LOOK = 5.0
#: Actors that may die one after the other with no block made in between.
DEATHS = 5

Step = tuple[int, Any, list[tuple[int, str, str]]]


def made_on_ray(
    model: Model,
    sites: Sequence[Site],
    source: Source,
    layout: Layout,
    todo: Sequence[int],
    *,
    workers: int | None,
    strict: bool,
) -> Iterator[Step]:
    """Make blocks on a cluster, in the order in which they are done.

    Parameters
    ----------
    model, sites, source, layout, todo, strict
        As `lens.capture.block_run.made_blocks` takes them.
    workers : int, optional
        How many actors; by default one for each GPU if the model runs on GPUs, else for each CPU.

    Raises
    ------
    WorkerLost
        If actors die again and again.
    """
    job = (model, [site.name for site in sites], source, layout, torch.get_num_threads(), strict)
    on_gpu = layout.manifest.settings["device"] == "cuda"
    with closing(done_on_ray(Worker, job, todo, workers=workers, on_gpu=on_gpu)) as steps:
        for block, (made, skipped) in steps:
            yield len(layout.rows(block)), lambda made=made: made, skipped


def done_on_ray(
    kind: type, job: Any, todo: Sequence[Any], *, workers: int | None, on_gpu: bool
) -> Generator[tuple[Any, Any], None, None]:
    """Have actors make things; yield each with what was made of it, in the order of being done.

    Parameters
    ----------
    kind
        Of the actors: made with ``[job]``, ``job`` being a reference to what is sent to each of
        them once; ``make(thing)`` makes one, ``batches()`` returns a number that changes while it
        works.
    job
        What each of them needs.
    todo
        What to make.
    workers, on_gpu
        How many; whether each needs a GPU.

    Raises
    ------
    WorkerLost
        If actors die again and again.
    """
    if not todo:
        return
    with _cluster():
        there = ray.cluster_resources()
        count = workers or int(there.get("GPU" if on_gpu else "CPU", 1)) or 1
        count = min(count, len(todo))
        share = min(1.0, there.get("CPU", 1.0) / count)
        actor = ray.remote(concurrency_groups={"asking": 1})(kind)  # type: ignore[call-overload]
        options = {"num_cpus": share, "num_gpus": 1 if on_gpu else 0, "max_restarts": 0}
        sent = ray.put(job)
        crew = _Crew(lambda: actor.options(**options).remote([sent]), deque(todo), count)
        try:
            yield from crew.run()
        finally:
            crew.dismiss()


class Worker:
    """One model of the cluster."""

    def __init__(self, jobs: list[Any]) -> None:
        model, names, self._source, self._layout, threads, self._strict = ray.get(jobs[0])
        torch.set_num_threads(threads)
        model.module.to(self._layout.manifest.settings["device"])
        self._model, self._sites = model, model.sites(names)
        self._batches = 0

    def make(self, block: int) -> tuple[blocks.Made, list[tuple[int, str, str]]]:
        """Make the files of one block."""
        steps = made_blocks(
            self._model, self._sites, self._source, self._layout, [block],
            workers=max(1, torch.get_num_threads()), strict=self._strict,
        )  # fmt: skip
        made = None
        for _, filled in steps:
            self._batches += 1
            made = filled or made
        assert made is not None  # every block ends
        return made.files(), made.skipped

    @ray.method(concurrency_group="asking")
    def batches(self) -> int:
        """Return how many batches went through: more and more while it lives."""
        return self._batches


@dataclass
class _Seat:
    """The place of an actor, filled anew when it dies."""

    actor: Any
    blocks: dict[Any, Any] = field(default_factory=dict)
    batches: int = -1
    moved: float = field(default_factory=time.monotonic)


class _Crew:
    """Actors and the blocks that they are at."""

    def __init__(self, hire: Any, waiting: deque[Any], count: int) -> None:
        self._hire, self._waiting = hire, waiting
        self._seats = [_Seat(hire()) for _ in range(count)]
        self._deaths = 0
        self._looked = time.monotonic()

    def run(self) -> Iterator[tuple[Any, Any]]:
        """Yield blocks as they are done; those of a dead actor are made again."""
        while self._waiting or any(seat.blocks for seat in self._seats):
            self._hand_out()
            at_work = [ref for seat in self._seats for ref in seat.blocks]
            done, _ = ray.wait(at_work, num_returns=1, timeout=LOOK)
            for ref in done:
                seat = next(seat for seat in self._seats if ref in seat.blocks)
                found = self._taken(seat, ref)
                if found is not None:
                    yield found
            self._look_around()

    def dismiss(self) -> None:
        """End all actors."""
        for seat in self._seats:
            with suppress(Exception):  # those that are dead already
                ray.kill(seat.actor)

    def _hand_out(self) -> None:
        """Give every actor a block before any gets a second one."""
        for depth in range(1, DEPTH + 1):
            for seat in self._seats:
                if self._waiting and len(seat.blocks) < depth:
                    block = self._waiting.popleft()
                    if not seat.blocks:
                        seat.moved = time.monotonic()
                    seat.blocks[seat.actor.make.remote(block)] = block

    def _taken(self, seat: _Seat, ref: Any) -> tuple[Any, Any] | None:
        try:
            made = ray.get(ref)
        except RayActorError:
            self._replace(seat)
            return None
        except RayTaskError as error:
            if isinstance(error.cause, LensError):
                raise error.cause from None
            raise
        block = seat.blocks.pop(ref)
        seat.moved, self._deaths = time.monotonic(), 0
        return block, made

    def _replace(self, seat: _Seat) -> None:
        """Put a new actor into a seat; the blocks of the old one come first."""
        self._deaths += 1
        if self._deaths > DEATHS:
            raise WorkerLost(
                f"{self._deaths} workers died one after the other without a block made; look at "
                f"Ray's logs (often they ran out of memory: a smaller batch_size takes less), then "
                f"run it again, it goes on where it stopped."
            )
        with suppress(Exception):  # it is dead, or is to be
            ray.kill(seat.actor)
        self._waiting.extendleft(reversed(seat.blocks.values()))
        seat.blocks.clear()
        seat.actor, seat.batches, seat.moved = self._hire(), -1, time.monotonic()

    def _look_around(self) -> None:
        """Replace actors that have not moved for long: they hang."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        asked = {seat.actor.batches.remote(): seat for seat in self._seats if seat.blocks}
        told, _ = ray.wait(list(asked), num_returns=len(asked), timeout=1) if asked else ([], [])
        for ref in told:
            with suppress(RayActorError):  # its block will say so
                batches = ray.get(ref)
                if batches != asked[ref].batches:
                    asked[ref].batches, asked[ref].moved = batches, time.monotonic()
        for seat in asked.values():
            limit = START if seat.batches < 0 else PATIENCE
            if seat.blocks and time.monotonic() - seat.moved > limit:
                self._replace(seat)


@contextmanager
def _cluster() -> Iterator[None]:
    """Use the cluster that there is (or `RAY_ADDRESS` names), or one of this machine meanwhile."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(log_to_driver=False, include_dashboard=False)
    except Exception as error:  # Ray raises many kinds for a cluster that does not answer
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WorkerLost(
            f"Ray did not start ({reason}); nothing was lost, run it again."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
