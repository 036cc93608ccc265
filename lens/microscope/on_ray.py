"""The parts of a site on a Ray cluster: one model an actor, the driver writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from lens.capture.on_ray import done_on_ray, ray
from lens.microscope.parts import Job, Made, Part, make
from lens.microscope.worker import Pulse


def drawn_on_ray(
    job: Job, todo: Sequence[Part], workers: int | None
) -> Iterator[tuple[Part, Made]]:
    """Draw parts on a cluster, in the order in which they are done.

    Raises
    ------
    WorkerLost
        If actors die again and again.
    """
    device = job.site.model.device.type
    yield from done_on_ray(Artist, (job, device), todo, workers=workers, on_gpu=device == "cuda")


class Artist:
    """One model of the cluster."""

    def __init__(self, jobs: list[Any]) -> None:
        self._job, device = ray.get(jobs[0])
        torch.set_num_threads(1)  # there is an actor a CPU
        self._job.site.model.module.to(device)
        self._pulse, self._parts = Pulse(), 0

    def make(self, part: Part) -> Made:
        """Draw a part."""
        self._pulse.of_this_thread()
        made = make(self._job, part)
        self._parts += 1
        return made

    @ray.method(concurrency_group="asking")
    def batches(self) -> int:
        """Return how much was computed: more and more while it works."""
        return self._pulse.beats() + self._parts
