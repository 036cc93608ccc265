import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens.store.layout import dequantized, quantized
from lens.store.shard import StoredArray

zarr = pytest.importorskip("zarr", reason="there is no zarr 3 for Python 3.10")


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9),
    count=st.integers(1, 20),
    row_shape=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    dtype=st.sampled_from(["float32", "uint8", "int32"]),
    data=st.data(),
)
def test_plain_zarr_reads_every_shape(tmp_path_factory, rows, count, row_shape, dtype, data):
    split = data.draw(st.integers(0, len(row_shape) - 1))
    axes = ("input", *(f"a{i}" for i in range(len(row_shape))))
    array = StoredArray("a", count, row_shape, dtype, 0, rows, split, axes, (("x", 1),))
    values = np.random.default_rng(0).integers(0, 255, array.shape).astype(dtype)
    folder = tmp_path_factory.mktemp("zarr")
    (folder / "a").mkdir()
    (folder / "a" / "zarr.json").write_bytes(array.metadata())
    for block in range(array.n_blocks):
        rows_of_block = values[block * rows : (block + 1) * rows]
        file = folder / array.chunk_name(block)
        file.parent.mkdir(parents=True, exist_ok=True)
        encoded = array.encode(rows_of_block)
        assert len(encoded) == array.chunk_bytes
        np.testing.assert_array_equal(array.decode(encoded)[: len(rows_of_block)], rows_of_block)
        assert array.decode(encoded[:-1]) is None
        file.write_bytes(encoded)
    plain = zarr.open(str(folder / "a"), mode="r")
    np.testing.assert_array_equal(plain[:], values)
    assert plain.attrs["x"] == 1


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2)])
def test_quantizing_keeps_the_ends_and_what_is_missing(axes):
    values = np.random.default_rng(1).normal(size=(6, 3, 4, 5)).astype(np.float32)
    values[2] = np.nan
    values[:, 1] = np.nan
    values[0, 0, 0, 0], values[1, 0, 0, 0] = np.inf, 7
    codes, low, step = quantized(values, axes)
    back = dequantized(codes, low, step, axes)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    finite = np.isfinite(values)
    assert back[1, 0, 0, 0] == pytest.approx(7, rel=1e-5)
    assert np.abs(back - values)[finite].max() <= step.max() / 2 + 1e-6
    constant = np.full((3, 2), 5, np.float32)
    codes, low, step = quantized(constant, (0,))
    np.testing.assert_array_equal(dequantized(codes, low, step, (0,)), constant)


def test_small_chunks_hold_several_units_and_large_ones_one():
    few = StoredArray("a", 100, (64,), "float32", 0, 16, 0, ("input", "unit"))
    assert few.units_per_chunk == 64
    many = StoredArray("a", 2048, (64,), "float32", 0, 1024, 0, ("input", "unit"))
    assert many.units_per_chunk == 1
