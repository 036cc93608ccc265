"""Building: going on after a kill, refusing what is somebody else's, saying what is missing."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import lens
from lens.errors import BadInput, NotWritten, StoreMismatch, UnitOutOfRange
from lens.microscope.folder import Folder

# The same model, stimuli and settings in a process of its own, which can be killed.
BUILD = """
import sys
import torch, open_clip
from open_clip.model import CLIP
import lens
from lens.data import glyphs
from pathlib import Path
sys.path.insert(0, {tests!r})
import conftest
model = conftest.opened(conftest.built(CLIP, 24, conftest.RN, conftest.TEXT), "tiny-rn")
stimuli = glyphs().stimuli(per_cell=4, size=64,
    concepts={concepts!r}, renderings=["cartoon", "drawing", "word"])
torch.set_num_threads({threads})
lens.microscope(model, {folder!r}, "image.layer4", stimuli, **{settings!r})
"""


class Stop(BaseException):
    """What ends a build at a given file."""


@pytest.fixture
def stop_at(monkeypatch):
    """Stop a build as its n-th file is to be written."""

    def arm(n):
        write = Folder.write
        left = [n]

        def stopping(self, name, data, *, durable=False):
            left[0] -= 1
            if left[0] < 0:
                raise Stop(name)
            write(self, name, data, durable=durable)

        monkeypatch.setattr(Folder, "write", stopping)
        return lambda: monkeypatch.setattr(Folder, "write", write)

    return arm


@pytest.fixture(scope="module")
def whole(tiny_rn, stimuli, quick, tmp_path_factory):
    """A build that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "site"
    return lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)


def test_a_build_stopped_at_any_file_ends_with_the_same_bytes(
    tiny_rn, stimuli, quick, whole, bits, stop_at, tmp_path
):
    folder = tmp_path / "site"
    stops = 0
    for n in np.random.default_rng(0).integers(0, 25, 20).tolist():
        undo = stop_at(n)
        try:
            lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)
        except Stop:
            stops += 1
        undo()
        for page in folder.rglob("*.html"):
            assert page.read_text().endswith("</html>\n")
    assert stops > 5
    lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)
    assert bits(folder) == bits(whole.path)


def test_a_killed_process_is_gone_on_with(tiny_rn, stimuli, quick, whole, bits, tmp_path):
    folder = tmp_path / "site"
    tests = str(Path(__file__).parents[1])
    code = BUILD.format(
        tests=tests, folder=str(folder), settings=quick, threads=torch.get_num_threads(),
        concepts=list(dict.fromkeys(stimuli.table["concept"])),
    )  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", code])
    while child.poll() is None and len(list(folder.rglob("*.webp"))) < 8:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert json.loads((folder / "site.json").read_text())["finished"] is False
    lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)
    assert bits(folder) == bits(whole.path)


def test_a_finished_site_is_returned_at_once(tiny_rn, stimuli, quick, whole, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")}
    monkeypatch.setattr(type(tiny_rn), "run", None)  # nothing goes through the model
    again = lens.microscope(tiny_rn, whole.path, "image.layer4", stimuli, **quick)
    assert repr(again) == repr(whole)
    assert before == {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")}


def test_the_result_tells_where_it_is(whole):
    assert whole.index.is_file() and whole.pages[0] == whole.index
    assert len(whole.pages) == 5 + 4  # units; index, site, search, compare
    assert whole.bytes == sum(p.stat().st_size for p in whole.path.rglob("*") if p.is_file())
    assert "5 units of image.layer4" in repr(whole)
    assert f'href="{whole.index.resolve().as_uri()}"' in whole._repr_html_()
    with pytest.raises(BadInput, match=r"image\.layer4"):
        whole.page(17, "image.layer5")
    with pytest.raises(BadInput, match="unit 18"):
        whole.page(18)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"visualize": {"steps": 3}}, r"steps \(2, not 3\)"),
        ({"visualize": False}, "choice of pictures"),
        ({"units": [0, 3]}, "choice of units"),
        ({"sites": "image.layer3"}, r"choice of sites \(image\.layer4, not image\.layer3\)"),
        ({"batch_size": 3}, r"batch size \(2, not 3\)"),
        ({"vocabulary": ["dog"]}, "vocabulary"),
        ({"facets": False}, "facets"),
        ({"quality": False}, "quality"),
    ],
)
def test_another_setting_is_refused_by_name(tiny_rn, stimuli, quick, whole, change, words):
    settings = {"sites": "image.layer4", **quick, **change}
    with pytest.raises(StoreMismatch, match=words):
        lens.microscope(tiny_rn, whole.path, stimuli=stimuli, **settings)


def test_another_model_and_other_stimuli_are_refused(
    tiny_rn, fresh_clip, stimuli, quick, whole, bits
):
    before = bits(whole.path)
    module = fresh_clip("rn")
    with torch.no_grad():
        module.logit_scale += 1
    other = lens.wrap(module, tokenizer=tiny_rn.tokenizer, name="tiny-rn")
    with pytest.raises(StoreMismatch, match="another weights") as refused:
        lens.microscope(other, whole.path, "image.layer4", stimuli, **quick)
    assert refused.value.differs == ("weights",)
    fewer = stimuli.where(concept=["dog", "fish", "crown"])
    with pytest.raises(StoreMismatch, match="stimuli"):
        lens.microscope(tiny_rn, whole.path, "image.layer4", fewer, **quick)
    assert bits(whole.path) == before


def test_somebody_elses_folder_is_refused_and_left_alone(tiny_rn, stimuli, quick, tmp_path, bits):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "index.html").write_text("my home page")
    before = bits(tmp_path)
    with pytest.raises(BadInput, match=r"index\.html, thesis\.tex"):
        lens.microscope(tiny_rn, tmp_path, "image.layer4", stimuli, **quick)
    assert bits(tmp_path) == before
    with pytest.raises(BadInput, match="is a file"):
        lens.microscope(tiny_rn, tmp_path / "thesis.tex", "image.layer4", stimuli, **quick)


def test_overwriting_replaces_a_site_and_nothing_else(
    tiny_rn, stimuli, quick, whole, bits, tmp_path
):
    (tmp_path / "CNAME").write_text("units.example.org")
    first = {**quick, "units": [1, 2], "visualize": False}
    lens.microscope(tiny_rn, tmp_path, "image.layer3", stimuli, **first, overwrite=True)
    assert (tmp_path / "0" / "unit" / "2.html").exists()
    lens.microscope(tiny_rn, tmp_path, "image.layer4", stimuli, **quick, overwrite=True)
    assert (tmp_path / "CNAME").read_text() == "units.example.org"
    made = (tmp_path / "site.json").stat().st_mtime_ns
    lens.microscope(tiny_rn, tmp_path, "image.layer4", stimuli, **quick, overwrite=True)
    assert (tmp_path / "site.json").stat().st_mtime_ns == made  # it is the one asked for
    (tmp_path / "CNAME").unlink()
    assert bits(tmp_path) == bits(whole.path)


def test_a_full_disk_is_one_sentence_and_the_build_goes_on(
    tiny_rn, stimuli, quick, whole, bits, tmp_path
):
    folder = tmp_path / "site"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the disk's own error: no more
    try:
        with pytest.raises(NotWritten, match=r"full .* run it again, it goes on where it stopped"):
            lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    lens.microscope(tiny_rn, folder, "image.layer4", stimuli, **quick)
    assert bits(folder) == bits(whole.path)


def test_a_store_takes_the_place_of_the_pass(
    tiny_rn, stimuli, quick, whole, parse, fresh_clip, tmp_path
):
    sites = ["image.layer4.pre_relu", "image.embedding"]
    store = lens.capture(tiny_rn, stimuli, sites, store=tmp_path / "acts.zarr", reduce="mean",
                         progress=False)  # fmt: skip
    site = lens.microscope(
        tiny_rn, tmp_path / "site", "image.layer4", stimuli, activations=store, **quick
    )
    for unit in (0, 17):  # a pass of its own may have been in bfloat16
        pages = parse(site.page(unit)), parse(whole.page(unit))
        found = [
            [float(a["aria-label"].rsplit(" ", 1)[1]) for a in page.all("svg", tabindex="0")]
            for page in pages
        ]
        assert found[0] == pytest.approx(found[1], abs=0.02)
        assert "Words it pulls towards" in pages[0].text
    module = fresh_clip("rn")
    with torch.no_grad():
        module.logit_scale += 1
    other = lens.wrap(module, tokenizer=tiny_rn.tokenizer, name="tiny-rn")
    with pytest.raises(BadInput, match="weights"):
        lens.microscope(other, tmp_path / "b", "image.layer4", stimuli, activations=store, **quick)


def test_what_is_missing_is_said_in_the_pages(tiny_rn, stimuli, quick, build, parse, tmp_path):
    from torchvision.models import resnet18

    blind = lens.wrap(build(resnet18), name="no-text")
    drawings = stimuli.where(rendering="drawing")
    name = next(s.name for s in blind.sites if s.kind == "stage" and s.n_units == 512)
    site = lens.microscope(
        blind, tmp_path / "a", name, drawings, **{**quick, "visualize": False, "units": [1, 2]}
    )
    text = parse(site.path / "0" / "site.html").text
    assert "no text tower" in parse(site.index).text and "no text tower" in text
    assert "hold no written words" in parse(site.index).text
    assert site.left_out and all(sentence in parse(site.index).text for sentence in site.left_out)
    assert "No unit was tested against concepts" in text and "only 'drawing'" in text
    assert "hold no written words" in text
    assert "No visualizations were asked for" in text

    both = lens.microscope(
        tiny_rn, tmp_path / "b", ["image.embedding", "text.embedding"], stimuli,
        **{**quick, "units": [1, 2]},
    )  # fmt: skip
    text = parse(both.index).text
    assert "text.embedding is in the text tower" in text
    assert "no places in the picture" in parse(both.path / "0" / "site.html").text


@pytest.mark.parametrize("drawn", [False, {"steps": 1}])
def test_dead_units_get_a_page_that_says_so(tiny_rn, stimuli, quick, parse, tmp_path, drawn):
    captured = lens.capture(tiny_rn, stimuli, ["image.layer4.pre_relu"], reduce="mean",
                            progress=False)  # fmt: skip
    name = next(iter(captured))
    captured[name][:] = 0.0
    site = lens.microscope(
        tiny_rn, tmp_path / "site", "image.layer4", stimuli, activations=captured,
        **{**quick, "visualize": drawn, "units": [1, 2]},
    )  # fmt: skip
    assert "None of the 2 units varies" in parse(site.path / "0" / "site.html").text
    assert any("None of the 2 units varies" in sentence for sentence in site.left_out)
    page = parse(site.page(1))
    assert "gives the same value for every stimulus" in page.text
    assert "not captured with the responses" in page.text
    assert [section["id"] for section in page.all("section")] == ["visualizations"] * bool(drawn)


def test_facets_and_quality_are_shown(tiny_rn, stimuli, quick, parse, tmp_path):
    import pandas as pd

    quality = pd.DataFrame({"unit": [1, 2], "percentile": [99.5, 12.0]})
    site = lens.microscope(
        tiny_rn, tmp_path / "site", "image.layer4", stimuli, quality=quality,
        facets={"large": {"steps": 1, "size": 96},
                "own": lambda units: lens.visualize(units, steps=1, progress=False)},
        **{**quick, "units": [1, 2]},
    )  # fmt: skip
    page = parse(site.page(1))
    assert len(page.all("figure")) == 3
    assert [image["width"] for image in page.all("img") if "/vis/" in image["src"]] == [
        "64", "96", "64",
    ]  # fmt: skip
    assert "percentile99.5" in page.text


@pytest.mark.parametrize(
    ("settings", "words", "error"),
    [
        ({"sites": "text.embedding"}, "text tower", BadInput),
        ({"stimuli": [1, 2]}, "need a `.table`", BadInput),
        ({"units": [999]}, "0 to 255", UnitOutOfRange),
        ({"batch_size": 0}, "batch_size", BadInput),
        ({"workers": 0}, "workers is a whole number", BadInput),
        ({"engine": "rays"}, "'local' or 'ray'", BadInput),
        ({"facets": "word"}, "facets is 'multimodal'", BadInput),
        ({"quality": "good"}, "quality is True", BadInput),
        ({"visualize": {"steps": 0}}, "steps", BadInput),
    ],
)
def test_wrong_input_is_refused(tiny_rn, stimuli, quick, tmp_path, settings, words, error):
    asked = {"sites": "image.layer4", "stimuli": stimuli, **quick, **settings}
    with pytest.raises(error, match=words):
        lens.microscope(tiny_rn, tmp_path / "site", **asked)


def test_the_room_is_the_verb():
    import inspect

    assert callable(lens.microscope)
    assert "stimuli" in inspect.signature(lens.microscope).parameters
