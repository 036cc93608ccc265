import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import lens
from lens.errors import BadInput, BadStore, StoreMismatch

SITE = "image.layer3"


@pytest.mark.parametrize("reduce", ["mean", None])
def test_a_site_in_other_formats(streamed, tmp_path, reduce):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    store = streamed(reduce)
    expected = store.load(SITE)
    for name in ("x.npy", "x.safetensors", "x.parquet"):
        store.export(SITE, tmp_path / name)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")[SITE], expected)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table["input"].to_pylist() == list(store.inputs)
    np.testing.assert_array_equal(
        np.array(table["values"].to_pylist(), np.float32), expected.reshape(21, -1)
    )
    assert not list(tmp_path.glob(".*"))


def test_an_export_that_cannot_be(streamed, tmp_path):
    with pytest.raises(BadInput, match=r"\.parquet.* not 'x\.csv'"):
        streamed().export(SITE, tmp_path / "x.csv")
    with pytest.raises(BadInput, match="no folder"):
        streamed().export(SITE, tmp_path / "none" / "x.npy")


@pytest.fixture()
def shards(tiny_rn, rows, tmp_path):
    def make(reduce="mean", quantize=None):
        return [
            lens.capture(
                tiny_rn, part, SITE, store=tmp_path / f"{reduce}{quantize}{i}", reduce=reduce,
                quantize=quantize, batch_size=4, block_rows=8, progress=False,
            )
            for i, part in enumerate((rows[:8], rows[8:9], rows[9:]))
        ]  # fmt: skip

    return make


@pytest.mark.parametrize("reduce", ["mean", "top3", None])
def test_shards_put_together_are_the_whole(shards, streamed, tmp_path, reduce):
    parts = shards(reduce)
    joined = lens.store.concatenate([parts[0], parts[1].path, parts[2]], tmp_path / "joined")
    whole = streamed(reduce)
    np.testing.assert_allclose(joined.load(SITE), whole.load(SITE), atol=1e-5)
    if reduce == "top3":
        np.testing.assert_array_equal(joined.positions(5), whole.positions(5))
    labels = [str(i) for part in (8, 1, 12) for i in range(part)]
    assert list(joined.inputs) == labels
    assert joined.verify() == []
    again = lens.store.concatenate([part.path for part in parts], tmp_path / "joined")
    assert again.finished


def test_quantized_shards_and_skipped_rows(tiny_rn, tmp_path):
    images = [Image.new("RGB", (30, 30), (i * 9, 40, 0)) for i in range(12)]
    images[2] = images[10] = tmp_path / "missing.png"
    parts = []
    for i, part in enumerate((images[:7], images[7:])):
        with pytest.warns(UserWarning, match="skipped"):
            parts.append(
                lens.capture(tiny_rn, part, SITE, store=tmp_path / str(i), reduce="mean",
                             quantize="uint8", batch_size=4, progress=False)
            )  # fmt: skip
    joined = lens.store.concatenate(parts, tmp_path / "joined")
    assert np.flatnonzero(~joined.valid).tolist() == [2, 10]
    separate = np.concatenate([part.load() for part in parts])
    spread = np.nanmax(separate, 0) - np.nanmin(separate, 0)
    assert (np.abs(joined.load() - separate)[joined.valid] <= spread / 500 + 1e-6).all()


def test_shards_of_different_runs_are_refused(shards, tmp_path):
    with pytest.raises(StoreMismatch, match="another reduce"):
        lens.store.concatenate([shards()[0], shards("max")[1]], tmp_path / "x")
    with pytest.raises(BadInput, match="empty"):
        lens.store.concatenate([], tmp_path / "x")
    part = shards()[2]
    (tmp_path / "meanNone2" / "blocks" / "00000001.json").unlink()
    with pytest.raises(BadStore, match="is not finished"):
        lens.store.concatenate([part.path], tmp_path / "x")
