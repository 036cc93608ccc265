"""Streaming to a store: the same bits wherever it was killed, and one sentence for every fault."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import lens
from lens.errors import (
    BadInput,
    BadStore,
    LensError,
    NotWritten,
    StoreBusy,
    StoreMismatch,
    TooLarge,
)
from lens.store.lock import LOCK, writing_to
from lens.store.place import Place


def capture(model, inputs, store, sites="image.layer3", **options):
    given = {"reduce": "mean", "batch_size": 4, "block_rows": 8, "progress": False, **options}
    return lens.capture(model, inputs, sites, store=store, **given)


def bits(folder):
    """Every file of a store and what it holds."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def rows():
    return torch.randn(21, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.fixture()
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


class Killed(BaseException):
    """No error that anything would catch, as a signal is none."""


@pytest.mark.parametrize("quantize", [None, "uint8"])
def test_stopped_at_any_file_it_ends_with_the_same_bits(
    tiny_rn, rows, tmp_path, monkeypatch, quantize
):
    given = {"reduce": "top2", "quantize": quantize}
    whole = bits(capture(tiny_rn, rows, tmp_path / "whole", **given).path)
    write = Place.write
    total = 0

    def stop_at(limit):
        count = 0

        def counted(self, *args, **options):
            nonlocal count, total
            if count == limit:
                raise Killed
            count += 1
            total += 1
            write(self, *args, **options)

        monkeypatch.setattr(Place, "write", counted)

    stop_at(-1)
    capture(tiny_rn, rows, tmp_path / "counted", **given)
    writes = total
    for limit in range(0, writes, 3):
        path = tmp_path / f"after {limit}"
        stop_at(limit)
        with pytest.raises(Killed):
            capture(tiny_rn, rows, path, **given)
        stop_at(2)  # and once more
        with pytest.raises(Killed):
            capture(tiny_rn, rows, path, **given)
        monkeypatch.setattr(Place, "write", write)
        assert capture(tiny_rn, rows, path, **given).finished
        assert bits(path) == whole


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forked")
def test_killed_by_the_system_and_run_again():
    kill = Path(__file__).parents[2] / "benchmarks" / "kill.py"
    run = subprocess.run(
        [sys.executable, str(kill), "--rounds", "3", "--images", "128"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 of 3 stores equal bit for bit" in run.stdout


def test_a_finished_store_is_returned_without_a_look(tiny_rn, rows, tmp_path, monkeypatch):
    first = capture(tiny_rn, rows, tmp_path / "x")
    before = {path: path.stat().st_mtime_ns for path in Path(first.path).rglob("*")}
    monkeypatch.setattr(tiny_rn, "run", None)  # it would fail
    again = capture(tiny_rn, rows, tmp_path / "x")
    assert again.finished
    assert {path: path.stat().st_mtime_ns for path in Path(first.path).rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduce": "max"}, r"another reduce \('mean', not 'max'\)"),
        ({"quantize": "uint8"}, "another quantize"),
        ({"batch_size": 8}, r"another batch size \(4, not 8\)"),
        ({"block_rows": 12}, "another rows per block"),
        ({"sites": "image.layer4"}, r"choice of sites \(image\.layer3, not image\.layer4\)"),
    ],
)
def test_another_setting_is_refused_by_name(tiny_rn, rows, tmp_path, change, words):
    capture(tiny_rn, rows, tmp_path / "x")
    with pytest.raises(StoreMismatch, match=words):
        capture(tiny_rn, rows, tmp_path / "x", **change)


def test_another_model_or_data_set_is_refused_by_name(tiny_rn, rows, tmp_path, fresh_clip, photos):
    capture(tiny_rn, rows, tmp_path / "x")
    other = fresh_clip("rn")
    with torch.no_grad():
        other.visual.conv1.weight[0, 0, 0, 0] += 1e-3
    changed = lens.wrap(other, tokenizer=tiny_rn.tokenizer, name="tiny-rn")
    with pytest.raises(StoreMismatch, match="another weights;") as caught:
        capture(changed, rows, tmp_path / "x")
    assert caught.value.differs == ("weights",)
    prepared = lens.wrap(tiny_rn.module, name="tiny-rn", preprocess=lambda image: torch.zeros(1))
    with pytest.raises(StoreMismatch, match="another preprocessing;"):
        capture(prepared, rows, tmp_path / "x")
    with pytest.raises(StoreMismatch, match="21 inputs, not 20"):
        capture(tiny_rn, rows[:20], tmp_path / "x")
    with pytest.raises(StoreMismatch, match="another data set"):
        capture(tiny_rn, rows + 1e-3, tmp_path / "x")

    capture(tiny_rn, photos, tmp_path / "y")
    os.utime(photos / "3.png", ns=(1, 1))
    with pytest.raises(StoreMismatch, match="another data set"):
        capture(tiny_rn, photos, tmp_path / "y")


class Pairs(torch.utils.data.Dataset):
    """Pictures with labels, of which some cannot be read."""

    def __init__(self, images, bad=()):
        self.images, self.bad = images, bad

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        if i in self.bad:
            raise OSError("the shard is gone")
        return self.images[i], i % 3


def test_every_kind_of_data_set_gives_the_same(tiny_rn, photos, tmp_path):
    images = [Image.open(path).convert("RGB") for path in sorted(photos.iterdir())]
    arrays = np.stack([np.asarray(image) for image in images])
    kinds = {
        "folder": photos,
        "files": [str(path) for path in sorted(photos.iterdir())],
        "pictures": images,
        "array": arrays,
        "dataset": Pairs(images),
        "nested": [photos],
    }
    acts = lens.capture(
        tiny_rn, photos, "image.layer3", reduce="mean", batch_size=4, progress=False
    )
    for name, inputs in kinds.items():
        store = capture(tiny_rn, inputs, tmp_path / name, workers=3)
        np.testing.assert_allclose(store.load(), acts["image.layer3"], atol=1e-5)
        assert capture(tiny_rn, inputs, tmp_path / name).finished
    with pytest.raises(BadInput, match="counted and read again"):
        capture(tiny_rn, iter(images), tmp_path / "iterator")


def test_a_data_set_of_hugging_face(tiny_rn, photos, tmp_path):
    paths = [str(path) for path in sorted(photos.iterdir())]
    features = datasets.Features({"label": datasets.Value("int64"), "image": datasets.Image()})
    columns = {"label": list(range(10)), "image": paths}
    rows = datasets.Dataset.from_dict(columns, features=features)
    store = capture(tiny_rn, rows, tmp_path / "x", workers=3)
    np.testing.assert_array_equal(store.load(), capture(tiny_rn, photos, tmp_path / "y").load())
    assert store.manifest.dataset["key"] == rows._fingerprint
    assert capture(tiny_rn, rows, tmp_path / "x").finished
    with pytest.raises(StoreMismatch, match="data set"):
        capture(tiny_rn, rows.select(range(2, 10)), tmp_path / "x")


def test_the_stimuli_keep_their_key(tmp_path):
    from lens.data import glyphs

    model = lens.load("glyph-rn", pretrained=None, device="cpu")
    stimuli = glyphs().stimuli(2, concepts=["dog", "cat", "crown"], renderings=["icon", "word"])
    store = capture(model, stimuli, tmp_path / "x", "image.layer1")
    assert store.manifest.dataset["key"] == stimuli.key
    expected = lens.capture(model, [stimuli[i] for i in range(12)], "image.layer1", reduce="mean",
                            progress=False)  # fmt: skip
    np.testing.assert_allclose(store.load(), expected["image.layer1"], atol=1e-5)


def test_texts(tiny_rn, tmp_path):
    texts = ["a dog", "two large cats on a mat", "a crown", "pizza", "one word more"]
    acts = lens.capture(tiny_rn, texts, "text.blocks.1", batch_size=2, progress=False)
    store = capture(
        tiny_rn, texts, tmp_path / "x", "text.blocks.1", reduce=None, batch_size=2, block_rows=2
    )
    assert list(store.inputs) == texts
    np.testing.assert_array_equal(store.text_positions, acts.text_positions)
    np.testing.assert_allclose(store.values_of(), acts.values_of(), atol=1e-6)
    np.testing.assert_allclose(store.values_of_unit(3), acts.values_of()[:, 3], atol=1e-6)
    eot = capture(
        tiny_rn, texts, tmp_path / "y", "text.blocks.1", reduce="eot", batch_size=2, block_rows=2
    )
    np.testing.assert_allclose(eot.load(), acts.values_of(), atol=1e-6)


def test_the_class_token_and_every_layout(tiny_vit, small_pictures, tmp_path):
    sites = tiny_vit.sites("image.*")
    acts = lens.capture(tiny_vit, small_pictures, sites, batch_size=4, progress=False)
    store = capture(tiny_vit, small_pictures, tmp_path / "x", sites, reduce=None)
    for name, site in acts.sites.items():
        np.testing.assert_array_equal(store.load(name), acts[name])
        np.testing.assert_allclose(store.values_of(name), acts.values_of(name), atol=1e-5)
        unit = site.n_units - 1
        np.testing.assert_allclose(
            store.values_of_unit(unit, name), acts.values_of(name)[:, unit], atol=1e-5
        )
    cls = capture(tiny_vit, small_pictures, tmp_path / "y", "image.blocks.1", reduce="cls")
    np.testing.assert_array_equal(cls.load(), acts.values_of("image.blocks.1", "cls"))


def test_attention_by_heads(tiny_vit, small_pictures, tmp_path):
    names = [f"image.blocks.1.attention.{part}" for part in ("pattern", "heads")]
    acts = lens.capture(tiny_vit, small_pictures, names, batch_size=4, progress=False)
    for quantize in (None, "uint8"):
        store = capture(
            tiny_vit, small_pictures, tmp_path / str(quantize), names, reduce=None,
            quantize=quantize,
        )  # fmt: skip
        for name in names:
            off = 1e-6 if quantize is None else np.ptp(acts[name]) / 500
            np.testing.assert_allclose(store.load(name), acts[name], atol=off)
            values = acts.values_of(name)
            for unit in (1, values.shape[1] - 1):
                np.testing.assert_allclose(
                    store.values_of_unit(unit, name), values[:, unit], atol=off
                )


def test_skipped_inputs_keep_their_row(tiny_rn, rows, tmp_path):
    images = [Image.new("RGB", (30, 30), (i * 20, 0, 0)) for i in range(10)]
    with pytest.warns(UserWarning, match=r"2 of 10 inputs were skipped \(.*the shard is gone"):
        store = capture(tiny_rn, Pairs(images, bad=(3, 8)), tmp_path / "x", quantize="uint8")
    assert [label for label, _ in store.skipped] == ["3", "8"]
    assert np.flatnonzero(~store.valid).tolist() == [3, 8]
    assert np.isnan(store.load()).all(axis=1).tolist() == (~store.valid).tolist()
    assert not {3, 8} & set(store.top(5, 10)["row"])
    assert len(store.top(5, 10)) == 8
    with pytest.raises(BadInput, match="the shard is gone") as caught:
        capture(tiny_rn, Pairs(images, bad=(9,)), tmp_path / "y", strict=True)
    assert caught.value.done.rows_done == 8
    with pytest.raises(BadInput, match="None of the 10 inputs could be read"):
        capture(tiny_rn, Pairs(images, bad=range(10)), tmp_path / "z")


def test_pictures_that_vanish_or_change_cost_themselves(tiny_rn, photos, tmp_path, monkeypatch):
    from lens.capture import sources

    listed = sources.files_below

    def then_changed(folder):
        found = listed(folder)
        monkeypatch.setattr(sources._Files, "fingerprint", spoiled(sources._Files.fingerprint))
        return found

    def spoiled(fingerprint):
        def after(self):
            told = fingerprint(self)
            (photos / "2.png").unlink(missing_ok=True)
            Image.new("RGB", (9, 9)).save(photos / "5.png")
            return told

        return after

    monkeypatch.setattr(sources, "files_below", then_changed)
    with pytest.warns(UserWarning, match="2 of 10 inputs were skipped"):
        store = capture(tiny_rn, photos, tmp_path / "x")
    (gone, why_gone), (changed, why_changed) = store.skipped
    assert gone.endswith("2.png")
    assert "was taken away while the run" in why_gone
    assert changed.endswith("5.png")
    assert "changed while the run" in why_changed


def test_the_size_is_told_first_and_a_small_budget_refused(tiny_rn, rows, tmp_path, capsys):
    with pytest.raises(TooLarge, match=r"would take 12\.\d kB and the budget is 10\.0 kB"):
        capture(tiny_rn, rows, tmp_path / "x", budget="10 kB")
    assert not (tmp_path / "x").exists()
    store = capture(tiny_rn, rows, tmp_path / "x", budget="1 MB", progress=True)
    said = capsys.readouterr().out
    assert "21 inputs at 1 site take 12." in said
    chunks = (Path(store.path) / "sites").rglob("c/**/*")
    assert sum(path.stat().st_size for path in chunks if path.is_file()) == 12360
    with pytest.raises(BadInput, match="such as '20 GB', not 'much'"):
        capture(tiny_rn, rows, tmp_path / "y", budget="much")


def test_a_second_writer_is_told_who_the_first_is(tiny_rn, rows, tmp_path):
    store = tmp_path / "x"
    with (
        writing_to(Place(store)),
        pytest.raises(StoreBusy, match=rf"\(process {os.getpid()} on "),
    ):
        capture(tiny_rn, rows, store)
    assert capture(tiny_rn, rows, store).finished


def test_a_writer_elsewhere_is_believed_while_it_gives_signs(tiny_rn, rows):
    place = Place("memory://busy.zarr")
    other = {"host": "elsewhere", "pid": 1, "id": "x", "started": "1"}
    place.write(LOCK, json.dumps(other | {"sign": time.time() - 60}).encode())
    with pytest.raises(StoreBusy, match="process 1 on elsewhere"):
        capture(tiny_rn, rows, place.name)
    place.write(LOCK, json.dumps(other | {"sign": time.time() - 6000}).encode())
    assert capture(tiny_rn, rows, place.name).finished


def test_any_address_of_fsspec(tiny_rn, rows, tmp_path):
    remote = capture(tiny_rn, rows, "memory://shelf/x.zarr", sites=["image.layer3"])
    local = capture(tiny_rn, rows, tmp_path / "x")
    np.testing.assert_array_equal(remote.load(), local.load())
    assert remote.top(3, 4).equals(local.top(3, 4))
    assert remote.verify() == []
    assert capture(tiny_rn, rows, "memory://shelf/x.zarr").finished
    pytest.importorskip("zarr", reason="there is no zarr 3 for Python 3.10")
    np.testing.assert_array_equal(remote.group["sites/image.layer3/values"][:], local.load())


FULL = """
import resource, sys
import torch, lens
from lens.errors import NotWritten
model = lens.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3)), example=torch.zeros(1, 3, 16, 16))
images = torch.rand(24, 3, 16, 16)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    lens.capture(model, images, "0", store=sys.argv[1], batch_size=4, block_rows=8,
                 progress=False)
except NotWritten as error:
    print(error, error.done.rows_done)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_full_disk_is_one_sentence(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "x"), "20000"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "could not be written: the disk is full" in run.stdout
    assert run.stdout.strip().endswith(" 0")
    assert not (tmp_path / "x" / "partial").exists()


def test_a_place_that_may_not_be_written_to(tiny_rn, rows, tmp_path):
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        place = tmp_path / "locked" / "x"
    elif Path("/sys").is_dir():
        place = Path("/sys/x.zarr")
    else:
        pytest.skip("nothing is forbidden here")
    with pytest.raises(NotWritten, match="no permission to write there"):
        capture(tiny_rn, rows, place)
    (tmp_path / "file").write_text("")
    with pytest.raises(LensError, match="file"):
        capture(tiny_rn, rows, tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduce": "median"}, "not 'median'"),
        ({"reduce": "top"}, "top8"),
        ({"reduce": "top0"}, "not 'top0'"),
        ({"reduce": "top17"}, "has 16 positions"),
        ({"reduce": lambda site, tensor: tensor}, "not a function"),
        ({"reduce": "eot"}, "for texts"),
        ({"reduce": "cls"}, "no class token"),
        ({"quantize": "int4"}, "not 'int4'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"block_rows": 9}, "a multiple of batch_size, 4, not 9"),
        ({"engine": "spark"}, "not 'spark'"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_requests_that_make_no_sense(tiny_rn, rows, tmp_path, options, words):
    with pytest.raises(BadInput, match=words):
        capture(tiny_rn, rows, tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_options_of_a_store_need_one(tiny_rn, rows):
    with pytest.raises(BadInput, match="need store="):
        lens.capture(tiny_rn, rows, "image.layer3", quantize="uint8")


def test_inputs_of_another_shape_are_skipped_or_refused(tiny_rn, tmp_path):
    with pytest.raises(BadInput, match=r"shape \(3, 32, 32\), tiny-rn takes \(3, 64, 64\)"):
        capture(tiny_rn, torch.zeros(2, 3, 32, 32), tmp_path / "x")


def test_the_model_is_left_as_it_was(tiny_rn, rows, tmp_path):
    capture(tiny_rn, rows, tmp_path / "x")
    with pytest.raises(BadStore):
        (tmp_path / "x" / "manifest.json").write_text("{}")
        capture(tiny_rn, rows, tmp_path / "x")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny_rn.module.modules())
