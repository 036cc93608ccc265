"""The embedding map as a Python object: what it sends, answers, takes and saves."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import lens
from lens.errors import BadInput
from lens.projection import Projection, gathering
from lens.projection.colouring import colouring
from lens.projection.methods import pca
from lens.projection.points import in_space
from lens.widgets.link import named_for
from lens.widgets.map import traits
from lens.widgets.map.archive import archive
from lens.widgets.map.linking import Links
from lens.widgets.map.view import EmbeddingMap

HOSTILE = "</script><img src=x onerror=alert(1)>\"'\u202eabc\U0001f600\nline" + "x" * 10_000


@pytest.fixture
def proj(tiny_rn, few):
    return lens.project(few, "pca", model=tiny_rn, texts=["dog", HOSTILE], progress=False)


@pytest.fixture
def view(proj):
    return proj.view()


def asked(view, kind, buffers=(), **body):
    """Ask as the page does; give what is sent back."""
    sent = []
    view.send = lambda message, buffers=None: sent.append((message, buffers))
    view._handle_custom_msg({"kind": kind, "to": 7, **body}, list(buffers))
    if kind == "find" and body["what"] == "image":  # pictures are opened beside the notebook
        view._looking.join(60)
    ((message, back),) = sent
    assert (message["kind"], message["to"]) == ("answer", 7)
    return message, back


def longs(data):
    return np.frombuffer(data, "<u4").tolist()


def test_positions_keep_their_proportions(view, proj):
    placed = np.frombuffer(view.places, "<u2").reshape(-1, 2).astype(float)
    assert placed.min() == 0
    assert placed.max() == 65_535
    side = np.ptp(proj.coordinates, axis=0).max()
    spread = np.ptp(proj.coordinates, axis=0) / side * 65_535
    np.testing.assert_allclose(np.ptp(placed, axis=0), spread, atol=1)


def test_a_hundred_thousand_points_are_little_state():
    rows = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)
    points = gathering._vectors(rows, None, None, np.arange(100_000) % 9)
    space = in_space(points, "euclidean")
    proj = Projection(gathering.Gathered(points, None), pca(rows), space, None, 0)
    proj._clusters = np.full(len(rows), -1), proj.clusters_of(np.full(len(rows), -1))
    view = EmbeddingMap(proj)
    names = [name for name in view.trait_names(sync=True) if not name.startswith("_")]
    state = sum(len(v) for v in (getattr(view, name) for name in names) if isinstance(v, bytes))
    assert state + len(view.colour["codes"]) <= 600_000
    assert len(str(EmbeddingMap._esm).encode()) <= 60_000


def test_categories_are_bytes_with_names(view):
    colour = traits.coloured(view.proj.colour("concept"))
    assert colour["name"] == "concept"
    codes = np.frombuffer(colour["codes"], np.uint8)
    assert len(codes) == len(view.proj)
    assert colour["counts"] == np.bincount(codes[codes < 255]).tolist()
    assert (codes[-2:] == 255).all()  # texts have no concept


def test_many_categories_take_two_bytes(proj):
    by = colouring("many", [f"name {i}" for i in range(300)])
    colour = traits.coloured(by)
    codes = np.frombuffer(colour["codes"], "<u2")
    assert [colour["names"][c] for c in codes] == [f"name {i}" for i in range(300)]


def test_numbers_are_steps_between_their_ends():
    by = colouring("size", np.array([0.5, np.nan, 2.5, 1.5]))
    colour = traits.coloured(by)
    assert list(colour["codes"]) == [0, 255, 254, 127]
    assert (colour["low"], colour["high"]) == (0.5, 2.5)


def test_another_colouring_is_sent_when_asked_for(view, proj):
    view.ask = "colour:rendering"
    assert view.colour["name"] == "rendering"
    view.ask = 'colour:"red"'
    assert view.colour["name"] == "how red?"
    assert view.notice == ""
    view.ask = "colour:renderin"
    assert "Did you mean rendering" in view.notice
    assert view.colour["name"] == "how red?"
    view.ask = "colour:kind"
    assert (view.colour["name"], view.notice) == ("kind", "")


def test_the_page_asks_for_rows_neighbours_pictures(view, proj, few):
    message, _ = asked(view, "rows", points=[0, len(proj) - 1, 10**9])
    assert [row["kind"] for row in message["rows"]] == ["image", "text"]
    assert message["rows"][1]["id"] == message["rows"][1]["name"] == HOSTILE
    first = few.table.iloc[0]
    assert message["rows"][0]["name"] == f"{first['concept']}, {first['rendering']}"
    message, _ = asked(view, "near", point=3)
    assert message["points"] == proj.neighbours(3, 6)["point"].tolist()
    message, (sheet,) = asked(view, "pictures", points=[2, len(proj) - 1, 5])
    assert message["points"] == [2, 5]
    with Image.open(io.BytesIO(sheet)) as image:
        tiles = np.asarray(image.convert("RGB"), float)
    side = message["tile"]
    for place, point in enumerate((2, 5)):
        want = np.asarray(few[point].resize((side, side), Image.Resampling.LANCZOS), float)
        assert np.abs(tiles[:side, side * place : side * (place + 1)] - want).mean() < 8


def test_the_page_searches_and_finds(view, proj):
    message, _ = asked(view, "search", text=" dog ")
    assert message["by"] == "meaning"
    assert message["points"][:5] == proj.search("dog", 5)["point"].tolist()
    assert asked(view, "search", text=" ")[0]["error"] == "Type what to search for."
    assert asked(view, "find", what="text", id="dog")[0]["point"] == len(proj) - 2
    assert asked(view, "find", what="image", id="dog")[0]["point"] == -1
    plain = lens.project(np.eye(6), "pca", progress=False).view()
    message, _ = asked(plain, "search", text="4")
    assert (message["points"], message["by"]) == ([4], "name")


def test_the_page_searches_by_a_picture(view, proj, few):
    file = io.BytesIO()
    few[5].save(file, "PNG")
    message, _ = asked(view, "resembling", [memoryview(file.getvalue())])
    assert message["points"] == proj.search(few[5], 60)["point"].tolist()
    assert "not a picture" in asked(view, "resembling", [b"no picture"])[0]["error"]
    plain = lens.project(np.eye(6), "pca", progress=False).view()
    assert "model" in asked(plain, "resembling", [file.getvalue()])[0]["error"]
    message, _ = asked(view, "near", point=3, k=9)
    assert message["points"] == proj.neighbours(3, 9)["point"].tolist()


def test_a_lassos_label_is_kept_and_undone(view, proj):
    points = np.array([1, 4], "<u4").tobytes()
    asked(view, "label", [memoryview(points)], label="odd ones")
    assert proj.labels.points("odd ones").tolist() == [1, 4]
    assert view.given == {"labels": [["odd ones", 2]], "undo": True, "redo": False}
    assert "label given" in view.colourings
    _, (own,) = asked(view, "labelled", label="odd ones")
    assert longs(own) == [1, 4]
    asked(view, "undo")
    assert view.given == {"labels": [], "undo": False, "redo": True}
    asked(view, "redo")
    assert len(proj.stimuli("odd ones")) == 2
    assert "1 to 200 characters" in asked(view, "label", [points], label="")[0]["error"]


def test_the_page_is_told_what_other_views_call_a_point(view, proj, few, tiny_rn):
    message, _ = asked(view, "link", point=5)
    name = named_for(tiny_rn, few[5])
    assert (message["what"], message["id"]) == ("image", name)
    assert asked(view, "find", what="image", id=name)[0]["point"] == 5
    assert asked(view, "link", point=len(proj) - 2)[0]["id"] == "dog"


def test_the_page_asks_for_the_points_of_a_cluster(view, proj):
    proj._clusters = np.arange(len(proj)) % 3 - 1, proj.clusters_of(np.arange(len(proj)) % 3 - 1)
    for _, row in proj.clusters.iterrows():
        _, (own,) = asked(view, "cluster", name=row["name"])
        same = proj.clusters["cluster"][proj.clusters["name"] == row["name"]]
        assert longs(own) == np.flatnonzero(np.isin(proj.cluster_numbers, same)).tolist()
    assert longs(asked(view, "cluster", name="no such")[1][0]) == []
    rows = np.frombuffer(archive(proj, 0)["grouped"], "<u2")
    at = proj.clusters["cluster"].to_numpy()
    inside = rows != 65_535
    assert (at[rows[inside]] == proj.cluster_numbers[inside]).all()
    assert (proj.cluster_numbers[~inside] == -1).all() and inside.mean() > 0.6


def test_the_quality_is_that_of_the_projection(view, proj):
    told, good = view.about["quality"], proj.quality
    assert told["k"] == good.k and told["counted"] == good.counted
    for name in ("trustworthiness", "continuity"):
        assert told[name] == pytest.approx(getattr(good, name), rel=1e-4)
    assert told["kept"] == pytest.approx(good.preserved.mean(), rel=1e-4)
    _, (moved,) = asked(view, "moved")
    np.testing.assert_allclose(np.frombuffer(moved, "u1") / 255, good.preserved, atol=0.002)


def test_nonsense_is_answered_with_a_sentence_or_not_at_all(view):
    message, _ = asked(view, "near")
    assert "could not be answered" in message["error"]
    sent = []
    view.send = lambda *all: sent.append(all)
    view._handle_custom_msg({"kind": "__class__"}, [])
    view._handle_custom_msg("open", [])
    assert not sent


def test_points_are_chosen_from_python(view):
    view.chosen = [5, 2, 5]
    assert view.chosen.tolist() == [2, 5]
    with pytest.raises(BadInput, match="points 0 to"):
        view.chosen = [10**6]
    assert view.chosen.tolist() == [2, 5]


def unpacked(path):
    packed = re.search(r'id="lens-data">([^<]*)<', path.read_text(encoding="utf-8"))[1]
    data = gzip.decompress(base64.b64decode(packed))
    size = int.from_bytes(data[:4], "little")
    parts = data[4 + size :]

    def revive(value):
        if set(value) == {"$bytes"}:
            start, length = value["$bytes"]
            return parts[start : start + length]
        return value

    return json.loads(data[4 : 4 + size], object_hook=revive)["views"][0]


def test_a_saved_map_answers_for_itself(proj, tmp_path):
    proj.labels.add("odd", [3])
    path = proj.save(tmp_path / "new" / "map.html")
    first = path.read_bytes()
    assert proj.save(path).read_bytes() == first
    assert b"onerror" not in first  # data is packed, and never stands in the page as it is
    data = unpacked(path)
    assert set(data["answers"]["ask"]) >= {f"colour:{name}" for name in proj.colourings}
    kept = data["state"]["archive"]
    assert kept["ids"][-1] == HOSTILE
    near = np.frombuffer(kept["near"], "<u4").reshape(len(proj), kept["k"])
    assert near[4].tolist() == proj.neighbours(4, 6)["point"].tolist()
    word = kept["words"].index("dog")
    hits = np.frombuffer(kept["hits"], "<u4").reshape(-1, kept["each"])[word]
    assert hits[:9].tolist() == proj.search("dog", 9)["point"].tolist()
    assert longs(kept["tiles"]) == list(range(len(proj) - 2))
    names = [kept["marks"][i : i + 8].hex() for i in range(0, len(kept["marks"]), 8)]
    assert names == [Links(proj).of(i) for i in range(len(proj) - 2)]
    assert [(label, longs(points)) for label, points in kept["labels"]] == [("odd", [3])]


def test_fewer_pictures_are_spread_over_the_points(view, tmp_path):
    kept = unpacked(view.save(tmp_path / "map.html", pictures=5))["state"]["archive"]
    tiles = longs(kept["tiles"])
    assert len(tiles) == 5
    assert tiles[0] == 0
    assert tiles[-1] == len(view.proj) - 3


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_points_are_shown(n, tmp_path):
    proj = lens.project(np.eye(4)[:n], progress=False)
    view = proj.view()
    assert view.about["n"] == n
    assert len(view.about["notes"]) == 1
    assert proj.save(tmp_path / "map.html").stat().st_size > 10_000
    assert proj._repr_mimebundle_()


def test_other_files_are_refused(view, tmp_path):
    with pytest.raises(BadInput, match=r"or \.png, not as 'map\.gif'"):
        view.save(tmp_path / "map.gif")
