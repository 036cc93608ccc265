import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lens.errors import BadInput, TooLarge
from lens.featurevis import objectives as o
from lens.featurevis.batching import batch_size, bytes_per_image, split
from lens.opening import wrap


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
    cpu = torch.device("cpu")
    with pytest.raises(TooLarge, match="use a smaller size"):
        batch_size(2**60, cpu)
    assert batch_size(1, cpu) == 32
    assert 1 <= batch_size(2**27, cpu) <= 32
