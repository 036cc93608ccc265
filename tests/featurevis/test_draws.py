import pytest
import torch

from lens.featurevis.draws import normal, uniform


@pytest.mark.parametrize("draw", [normal, uniform])
def test_rows_are_shared_out_evenly_and_in_order(draw):
    def own(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    rows = draw((2, 5), own(1, 2), 6)
    assert rows.shape == (6, 2, 5)
    assert torch.equal(rows[3:], draw((2, 5), own(2), 3))
    assert torch.equal(draw((2, 5), own(1, 2)), draw((2, 5), own(1, 2), 2))
