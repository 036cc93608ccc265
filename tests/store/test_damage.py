import json

import numpy as np
import pytest

import lens
from lens.errors import BadStore

CHUNK = "sites/image.layer3/values/c/1/0"


def again(tiny_rn, rows, path, **options):
    given = {"reduce": "mean", "batch_size": 4, "block_rows": 8, "progress": False, **options}
    return lens.capture(tiny_rn, rows, ["image.layer3", "image.embedding"], store=path, **given)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(bytes(data))


def test_a_flipped_bit_is_named_and_mended(copied, streamed, tiny_rn, rows):
    path = copied()
    flip(path / CHUNK, 1000)
    store = lens.store.open(path)
    with pytest.raises(BadStore, match=rf"{CHUNK} .* is damaged .*drop_damaged"):
        store.load("image.layer3")
    assert np.isfinite(store.load("image.embedding")).all()
    assert store.verify() == [CHUNK]
    assert store.drop_damaged() == [CHUNK]
    assert not store.finished
    assert store.rows_done == 13
    mended = again(tiny_rn, rows, path)
    assert mended.verify() == []
    np.testing.assert_array_equal(mended.load("image.layer3"), streamed().load("image.layer3"))


def test_a_unit_in_a_damaged_chunk_is_refused_and_another_is_not(copied):
    path = copied(None)
    flip(path / CHUNK / "0" / "0", 10)  # in the first inner chunk, of the units 0 to 7
    store = lens.store.open(path)
    with pytest.raises(BadStore, match=CHUNK):
        store.top(0, site="image.layer3")
    assert len(store.top(127, 3, site="image.layer3")) == 3


@pytest.mark.parametrize("damage", ["cut", "gone", "labels"])
def test_files_cut_short_or_gone_are_made_anew_by_the_same_run(
    copied, streamed, tiny_rn, rows, damage
):
    path = copied()
    if damage == "cut":
        (path / CHUNK).write_bytes((path / CHUNK).read_bytes()[:-100])
    elif damage == "gone":
        (path / CHUNK).unlink()
    else:
        (path / "inputs" / "00000001.json").unlink()
    store = lens.store.open(path)
    with pytest.raises(BadStore, match="is damaged or missing"):
        store.load("image.layer3") if damage != "labels" else store.inputs[9]
    mended = again(tiny_rn, rows, path)
    assert mended.verify() == []
    np.testing.assert_array_equal(mended.load("image.layer3"), streamed().load("image.layer3"))


def test_a_damaged_record_is_named_and_mended(copied, tiny_rn, rows):
    path = copied()
    record = path / "blocks" / "00000002.json"
    record.write_text(record.read_text().replace('"block": 2', '"block": 1'))
    store = lens.store.open(path)
    with pytest.raises(BadStore, match=r"blocks/00000002\.json .* changed since it was written"):
        _ = store.valid
    assert store.drop_damaged() == ["blocks/00000002.json"]
    assert again(tiny_rn, rows, path).verify() == []


def test_a_manifest_edited_by_hand(copied, tiny_rn, rows):
    path = copied()
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"count": 21', '"count": 22'))
    with pytest.raises(BadStore, match=r"manifest\.json of .* was changed since it was written"):
        lens.store.open(path)
    with pytest.raises(BadStore, match="changed since"):
        again(tiny_rn, rows, path)


def test_a_store_of_a_newer_version(copied):
    path = copied()
    body = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(body | {"version": 2}))
    with pytest.raises(BadStore, match=r"version 2 .* up to version 1; install a newer lens"):
        lens.store.open(path)


def test_a_folder_with_other_things_is_left_alone(tmp_path, tiny_rn, rows):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadStore, match=r"no store of activations \(it holds 'thesis\.tex'\)"):
        again(tiny_rn, rows, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
