"""Pictures come from a thread, each once, and the latest wish first."""

from __future__ import annotations

import threading

import torch
from torch import nn

from lens.errors import BadInput
from lens.widgets.neuron.pictures import Pictures
from lens.widgets.twin import twin as twin_of

WAIT = 20


class Easel:
    """Draws when it is let, and notes what it was asked for."""

    def __init__(self):
        self.asked, self.delivered = [], []
        self.started, self.go, self.arrived = (
            threading.Semaphore(0),
            threading.Semaphore(0),
            threading.Semaphore(0),
        )

    def draw(self, indices):
        self.asked.append(list(indices))
        self.started.release()
        assert self.go.acquire(timeout=WAIT)
        return [{"index": index, "state": "ready"} for index in indices]

    def deliver(self, picture):
        self.delivered.append(picture["index"])
        self.arrived.release()


def test_a_picture_is_computing_until_it_is_delivered():
    easel = Easel()
    pictures = Pictures(easel.draw, easel.deliver)
    assert pictures.now(3) == {"index": 3, "state": "computing"}
    pictures.want(3)
    assert easel.started.acquire(timeout=WAIT)
    assert pictures.now(3)["state"] == "computing"
    easel.go.release()
    assert easel.arrived.acquire(timeout=WAIT)
    assert pictures.now(3) == {"index": 3, "state": "ready"}


def test_units_walked_past_are_not_drawn():
    easel = Easel()
    pictures = Pictures(easel.draw, easel.deliver)
    pictures.want(1)
    assert easel.started.acquire(timeout=WAIT)
    for index in (2, 3, 4):
        pictures.want(index)
    for _ in range(2):
        easel.go.release()
        assert easel.arrived.acquire(timeout=WAIT)
    assert easel.asked == [[1], [4]]
    assert easel.delivered == [1, 4]


def test_all_waits_for_the_thread_and_draws_only_what_is_missing():
    easel = Easel()
    pictures = Pictures(easel.draw, easel.deliver)
    pictures.want(1)
    assert easel.started.acquire(timeout=WAIT)
    easel.go.release(2)
    assert [p["index"] for p in pictures.all([1, 2, 3])] == [1, 2, 3]
    assert easel.asked == [[1], [2, 3]]
    pictures.all([3, 2])
    assert len(easel.asked) == 2


def test_a_picture_that_is_there_is_delivered_at_once():
    delivered = []
    pictures = Pictures(
        lambda indices: [{"index": i, "state": "ready"} for i in indices], delivered.append
    )
    pictures.all([3])
    assert delivered == []
    pictures.want(3)
    assert delivered == [{"index": 3, "state": "ready"}]


def test_a_failure_is_said_in_a_sentence_and_the_next_unit_still_comes():
    def draw(indices):
        if 1 in indices:
            raise BadInput("there is nothing to climb.")
        return [{"index": index, "state": "ready"} for index in indices]

    pictures = Pictures(draw, lambda picture: None)
    failed = pictures.all([1])[0]
    assert failed == {
        "index": 1,
        "state": "failed",
        "note": "No visualization: there is nothing to climb.",
    }
    assert pictures.all([2])[0]["state"] == "ready"


def test_without_pictures_nothing_starts():
    delivered = []
    pictures = Pictures(None, delivered.append)
    pictures.want(1)
    assert [picture["state"] for picture in delivered] == ["off"]
    assert pictures.now(1)["state"] == "off"
    assert pictures.all([1, 2])[1]["state"] == "off"


def test_a_twin_shares_weights_and_nothing_else(tiny_rn):
    twin = twin_of(tiny_rn)
    for own, shared in zip(twin.module.parameters(), tiny_rn.module.parameters(), strict=True):
        assert own.data_ptr() == shared.data_ptr()
        assert shared.requires_grad and not own.requires_grad
    tiny_rn.module.train()
    site = twin.site("image.layer4")
    calls = []
    site.module.register_forward_hook(lambda *_: calls.append(1))
    batch = torch.zeros(1, 3, 64, 64)
    tiny_rn.run("image", batch)
    assert not calls
    assert not twin.module.training
    assert tiny_rn.module.training
    assert twin.fingerprint == tiny_rn.fingerprint
    tiny_rn.module.eval()
    assert torch.equal(twin.run("image", batch), tiny_rn.run("image", batch))
    assert isinstance(twin.module, nn.Module) and twin.module is not tiny_rn.module
