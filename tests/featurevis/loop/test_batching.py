import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lens.errors import BadInput, TooLarge
from lens.featurevis import objectives as o
from lens.featurevis import visualize
from lens.featurevis.loop import batching
from lens.featurevis.loop.batching import batch_size, bytes_drawn, bytes_per_image, split
from lens.featurevis.parameterization import Cppn, Fourier, Generator, Strokes
from lens.opening import wrap

CPU = torch.device("cpu")


@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 5))
def test_runs_cover_everything_and_keep_copies_together(groups, at_most, together):
    count = groups * together
    runs = split(count, at_most, together)
    assert [i for run in runs for i in run] == list(range(count))
    assert all(run.start % together == 0 for run in runs)
    assert max(len(run) for run in runs) <= max(at_most, together)
    finished = runs[: len(runs) // 2]
    assert split(sum(map(len, finished)), at_most, together) == finished


def test_memory_is_measured(resnet):
    deep, shallow = ([o.unit(resnet.site(f"image.layer{n}").unit(0))] for n in (4, 1))
    assert bytes_per_image(resnet, deep, (32, 32)) > bytes_per_image(resnet, shallow, (32, 32))
    ratio = bytes_per_image(resnet, shallow, (128, 128)) / bytes_per_image(
        resnet, shallow, (32, 32)
    )
    assert 12 < ratio < 18  # sixteen times the pixels; the weights are not counted


def test_a_size_that_the_model_can_not_take(resnet, vit):
    block = [o.unit(vit.site("image.blocks.1").unit(0))]
    with pytest.raises(BadInput, match="sides are multiples of 8 pixels here, not 44 x 48"):
        bytes_per_image(vit, block, (44, 48))
    embedding = [o.unit(resnet.site("image.embedding").unit(0))]
    with pytest.raises(BadInput, match="multiples of 32 pixels here, not 40 x 40"):
        bytes_per_image(resnet, embedding, (40, 40))
    assert bytes_per_image(resnet, [o.unit(resnet.site("image.layer4").unit(0))], (48, 80)) > 0

    class OneSize(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.reshape(len(x), 3 * 8 * 8))

    only = wrap(OneSize(nn.Linear(192, 4)), name="one-size", example=torch.zeros(2, 3, 8, 8))
    with pytest.raises(BadInput, match=r"one-size can't take images of 16 x 16 as far as 0 .*"
                       r"its own size is 8 x 8, which size=None takes"):  # fmt: skip
        bytes_per_image(only, [o.unit(only.site("0").unit(0))], (16, 16))


def test_what_does_not_fit_is_refused_with_the_number():
    with pytest.raises(TooLarge, match="use a smaller size"):
        batch_size(2**60, CPU)
    assert batch_size(1, CPU) == 32
    assert 1 <= batch_size(2**27, CPU) <= 32


class Wide(nn.Module):
    """Many large maps on the way to a small picture: MAPS bytes in each of its steps."""

    MAPS = 63 * 128 * 128 * 4

    def __init__(self) -> None:
        super().__init__()
        own = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(63, 128, 128, generator=own))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        maps = (z[:, :, None, None] * self.weight).tanh()
        return F.avg_pool2d(maps.unflatten(1, (3, 21)).mean(2), 4)


def test_what_lives_at_once_is_counted():
    outer = torch.zeros(3000)
    with batching._Living() as living:
        first = torch.zeros(1000)
        second = first + 1
        first = first.view(10, 100)  # the same memory
        outer.add_(1)  # was there before
        assert (living.now, living.most) == (8000, 8000)
        del first
        third = torch.zeros(500)
        assert (living.now, living.most) == (6000, 8000)
    assert len(second) + len(third) == 1500


def test_a_generator_that_needs_more_than_the_model(resnet, monkeypatch):
    unit = resnet.site("image.layer1").unit(0)
    wide = Generator(Wide(), (63,))
    drawn = bytes_drawn(wide, (32, 32), CPU)
    # There: the products and their tanh. Back: the tanh and two gradients. Never its weights.
    assert 2 * Wide.MAPS < drawn < 4 * Wide.MAPS
    assert drawn > 5 * bytes_per_image(resnet, [o.unit(unit)], (32, 32))
    room = 12 * drawn
    monkeypatch.setattr(batching, "free_bytes", lambda device: room)
    quick = {"copies": 6, "steps": 1, "progress": False}
    assert visualize(unit, parameterization=Fourier(), **quick).recipe["batch_size"] > 6
    # Half of what is free, and twice what was measured: two and a half images and the model's own.
    assert visualize(unit, parameterization=wide, **quick).recipe["batch_size"] == 2
    room = drawn
    with pytest.raises(TooLarge, match="one image of this size needs about"):
        visualize(unit, parameterization=wide, **quick)


def test_networks_and_strokes_count_what_they_hold():
    small, large = (bytes_drawn(Cppn(), size, CPU) for size in ((32, 32), (64, 64)))
    # Six layers of 24 units keep what goes into atan, what comes out, and both of its readings.
    assert large > 6 * 64 * 64 * (24 + 24 + 48) * 4
    assert large / small == pytest.approx(4, rel=0.1)
    few, some, many = (bytes_drawn(Strokes(n), (64, 64), CPU) for n in (4, 32, 96))
    assert few < some / 3
    # 32 are drawn at a time; of those before only the canvas and their numbers stay.
    assert some < many < 2 * some
