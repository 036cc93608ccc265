from pathlib import Path

import numpy as np
import pytest

import lens
from lens.errors import BadInput, BadStore, UnitOutOfRange, UnknownSite


@pytest.fixture(scope="module")
def captured(tiny_rn, rows):
    def make(reduce):
        return lens.capture(
            tiny_rn,
            rows,
            ["image.layer3", "image.embedding"],
            reduce=reduce,
            batch_size=4,
            progress=False,
        )

    return make


@pytest.mark.parametrize("reduce", ["mean", "max", None])
def test_a_store_holds_what_capture_gives(streamed, captured, reduce):
    store, acts = streamed(reduce), captured(reduce)
    assert list(store) == list(acts)
    assert len(store) == 2
    assert "image.layer3" in store
    assert list(store.inputs) == acts.inputs
    for name, array in acts.items():
        assert store[name].shape == array.shape
        np.testing.assert_array_equal(store.load(name), array)
        np.testing.assert_array_equal(np.asarray(store[name]), array)
        np.testing.assert_allclose(store.values_of(name), acts.values_of(name), atol=1e-6)
    np.testing.assert_allclose(
        store.values_of("image.layer3", "max"), acts.values_of("image.layer3", "max"), atol=1e-6
    )
    assert store.skipped == []
    assert store.valid.all()
    assert store.finished


@pytest.mark.parametrize("reduce", ["mean", None])
def test_plain_zarr_reads_the_same(streamed, reduce):
    pytest.importorskip("zarr", reason="there is no zarr 3 for Python 3.10")
    store = streamed(reduce)
    for name in store:
        plain = store.group[f"sites/{name}/values"]
        np.testing.assert_array_equal(plain[:], store.load(name))
        np.testing.assert_array_equal(plain[5:19, 3], store.load(name)[5:19, 3])


@pytest.mark.parametrize("reduce", ["mean", None])
def test_plain_zarr_reads_quantized_numbers_as_documented(streamed, reduce):
    pytest.importorskip("zarr", reason="there is no zarr 3 for Python 3.10")
    store = streamed(reduce, "uint8")
    site = store.group["sites/image.layer3"]
    codes, low, step = (site[name][:] for name in ("values", "low", "step"))
    spread = (slice(None), slice(None), *[None] * (codes.ndim - 2))
    block = np.arange(21) // 8
    plain = low[block][spread] + codes * step[block][spread]
    np.testing.assert_allclose(plain, store.load("image.layer3"), rtol=1e-6)


@pytest.mark.parametrize("reduce", ["mean", "max", None])
def test_quantized_values_are_off_by_half_a_step(streamed, reduce):
    exact, coded = streamed(reduce), streamed(reduce, "uint8")
    for name in exact:
        values = exact.load(name)
        places = tuple(range(2, values.ndim))
        for start in range(0, 21, 8):
            block = slice(start, start + 8)
            spread = np.ptp(values[block], axis=(0, *places), keepdims=True)
            off = np.abs(coded.load(name)[block] - values[block])
            assert (off <= spread / 508 + 1e-6).all()


def test_indexing_is_numpys(streamed):
    store = streamed(None)
    lazy, whole = store["image.layer3"], store.load("image.layer3")
    every, odd = slice(None), np.arange(21) % 2 == 1
    keys = [3, -1, slice(2, 19, 3), [1, 20, 4], (slice(5), 7), (2, slice(3)), ...]
    keys += [odd, (every, every, 1, 2), (slice(3), [0, 5])]
    for key in keys:
        np.testing.assert_array_equal(lazy[key], whole[key])
    with pytest.raises(IndexError):
        lazy[21]
    assert "21 x 128 x 4 x 4" in repr(lazy)


@pytest.mark.parametrize("reduce", ["mean", None])
@pytest.mark.parametrize("quantize", [None, "uint8"])
def test_one_unit_alone(streamed, reduce, quantize):
    store = streamed(reduce, quantize)
    for unit in (0, 1, 77, 127):
        expected = store.values_of("image.layer3")[:, unit]
        values = store.values_of_unit(unit, "image.layer3")
        np.testing.assert_allclose(values, expected, atol=1e-6)
        found = store.top(unit, 5, site="image.layer3")
        assert found["row"].tolist() == np.argsort(-values, kind="stable")[:5].tolist()
        assert found["input"].tolist() == [str(row) for row in found["row"]]
        np.testing.assert_array_equal(found["value"], np.sort(values)[::-1][:5])
        np.testing.assert_allclose(
            store.quantiles(unit, [0.1, 0.5], site="image.layer3"),
            np.quantile(values, [0.1, 0.5]),
            atol=1e-6,
        )
        counts, edges = store.histogram(unit, 7, site="image.layer3")
        expected_counts, expected_edges = np.histogram(values.astype(np.float64), 7)
        np.testing.assert_array_equal(counts, expected_counts)
        np.testing.assert_allclose(edges, expected_edges)


def test_a_unit_tells_its_site(streamed, tiny_rn):
    store = streamed()
    unit = tiny_rn.site("image.layer3").unit(5)
    assert store.top(unit, 3).equals(store.top(5, 3, site="image.layer3"))


def test_top_positions_are_the_largest_and_where_they_are(streamed, captured):
    store = streamed("top3")
    whole = captured(None)["image.layer3"].reshape(21, 128, -1)
    order = np.argsort(-whole, axis=2, kind="stable")[:, :, :3]
    np.testing.assert_array_equal(
        store.load("image.layer3"), np.take_along_axis(whole, order, axis=2)
    )
    positions = store.positions(9)
    assert positions.shape == (21, 3)
    at = np.take_along_axis(whole[:, 9], positions.astype(np.int64), axis=1)
    np.testing.assert_array_equal(at, store.load("image.layer3")[:, 9])
    np.testing.assert_array_equal(store.values_of()[:, 9], whole[:, 9].max(1))
    assert store.top(9, 2)["value"].tolist() == np.sort(whole[:, 9].max(1))[::-1][:2].tolist()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what is read")
def test_one_unit_reads_little(tmp_path, tiny_rn, rows):
    many = rows[:1].expand(512, -1, -1, -1)
    store = lens.capture(
        tiny_rn, many, "image.layer4", store=tmp_path / "x", reduce="mean", progress=False
    )

    def read():
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read()
    store.values_of_unit(3)
    after = read()
    # A block of 512 rows: 4 bytes a row in a chunk of two units, and the file that told the count.
    assert after - before < 512 * 4 * 2 + 1000
    assert 512 * 256 * 4 > 50 * (after - before)


def test_questions_that_make_no_sense(streamed):
    store = streamed()
    with pytest.raises(UnknownSite, match="Which site"):
        store.top(3)
    with pytest.raises(UnknownSite, match=r"image\.layer3"):
        store["image.layer33"]
    with pytest.raises(UnitOutOfRange, match="0 to 127, not 128"):
        store.top(128, site="image.layer3")
    with pytest.raises(BadInput, match="at least 1"):
        store.top(1, 0, site="image.layer3")
    with pytest.raises(BadInput, match="between 0 and 1"):
        store.quantiles(1, [2], site="image.layer3")
    with pytest.raises(BadInput, match="'median'"):
        streamed(None).values_of_unit(1, "image.layer3", "median")
    with pytest.raises(BadInput, match="no class token"):
        streamed(None).values_of_unit(1, "image.layer3", "cls")
    with pytest.raises(IndexError, match="21 inputs"):
        store.inputs[21]


def test_what_is_no_store(tmp_path):
    with pytest.raises(BadStore, match="does not exist"):
        lens.store.open(tmp_path / "none.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadStore, match="no store of activations"):
        lens.store.open(tmp_path / "folder")


def test_how_it_looks(streamed):
    store = streamed(None, "uint8")
    assert "21 inputs (full, uint8)" in repr(store)
    assert "image.layer3  21 x 128 x 4 x 4" in repr(store)
    assert "<td>image.layer3</td>" in store._repr_html_()
    assert store.frame("image.layer3").shape == (21, 128)
