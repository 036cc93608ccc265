"""Whatever stands in a manifest or a record, it is read or refused in one sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens.errors import BadStore, StoreMismatch
from lens.store.blocks import parse_record
from lens.store.manifest import Manifest, StoredSite, checked, parse_manifest, verified
from lens.store.names import folder_of, site_of

words = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def site(name="image.layer4", **other):
    given = {
        "path": "visual.layer4",
        "at": "output",
        "tower": "image",
        "kind": "stage",
        "layout": "BCHW",
        "n_units": 8,
        "shape": (8, 2, 2),
        "n_prefix": 0,
        "grid": (2, 2),
    }
    return StoredSite(name=name, **(given | other))  # fmt: skip


def manifest(**other):
    settings = {"reduce": "mean", "quantize": None, "batch_size": 4, "rows_per_block": 8}
    given = {"model": "m", "weights": "w", "preprocessing": "p",
             "dataset": {"kind": "folder", "count": 20, "fingerprint": "f"},
             "settings": settings, "sites": (site(),)}  # fmt: skip
    return Manifest(**(given | other))


@given(words, words, st.integers(1, 10**9))
def test_what_is_written_is_read_back(model, name, count):
    written = manifest(
        model=model,
        dataset={"kind": "files", "count": count, "fingerprint": "x"},
        sites=(site(name), site(name + "2", grid=None, shape=(), aliases=("a", "b"))),
    )
    assert parse_manifest(written.dump(), "here") == written


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_a_sentence(data):
    with pytest.raises(BadStore, match="manifest"):
        parse_manifest(data, "here")
    with pytest.raises(BadStore, match="blocks/00000003"):
        parse_record(data, 3, "here")


@given(st.dictionaries(words, values, max_size=4))
def test_a_right_checksum_does_not_make_a_manifest(body):
    body = {name: value for name, value in body.items() if name not in ("checksum", "version")}
    assert verified(checked(body), "it") == body
    with pytest.raises(BadStore, match="does not describe"):
        parse_manifest(checked(body), "here")
    with pytest.raises(BadStore, match="does not describe"):
        parse_record(checked(body), 3, "here")


@given(st.data())
def test_any_changed_character_is_noticed(data):
    written = manifest().dump().decode()
    at = data.draw(st.integers(0, len(written) - 1))
    put = data.draw(st.characters(codec="utf-8"))
    changed = written[:at] + put + written[at + 1 :]
    try:
        assert json.loads(changed) == json.loads(written)  # white space, say
    except (ValueError, AssertionError):
        with pytest.raises(BadStore):
            parse_manifest(changed.encode(), "here")


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_name_of_a_site_is_one_plain_folder(name):
    folder = folder_of(name)
    assert site_of(folder) == name
    assert folder.isascii()
    assert folder not in (".", "..")
    assert not set(folder) & set('/\\:*?"<>| ~')


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": "n"}, "another model ('m', not 'n')"),
        ({"weights": "v"}, "another weights"),
        ({"preprocessing": "q"}, "another preprocessing"),
        ({"dataset": {"kind": "folder", "count": 21, "fingerprint": "f"}}, "20 inputs, not 21"),
        ({"dataset": {"kind": "folder", "count": 20, "fingerprint": "g"}}, "names, sizes, dates"),
        ({"sites": (site("b"),)}, "choice of sites (image.layer4, not b)"),
        ({"settings": manifest().settings | {"reduce": "max"}}, "reduce ('mean', not 'max')"),
        ({"settings": manifest().settings | {"batch_size": 5}}, "batch size (4, not 5)"),
    ],
)
def test_what_differs_is_named(other, words):
    with pytest.raises(StoreMismatch) as caught:
        manifest().check_same(manifest(**other), "x.zarr")
    assert words in str(caught.value)
    assert len(caught.value.differs) == 1
    manifest().check_same(manifest(made_with={"torch": "9"}), "x.zarr")
