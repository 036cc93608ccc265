"""What is written: the same bytes every time, faces inside, names as nothing but text."""

import base64
import io
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pypdf
import pypdfium2
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

import lens
from lens import figures
from lens.errors import BadInput
from lens.figures.paper import clean, fitted

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = """
import sys, numpy as np
from lens import figures
values = np.random.default_rng(0).normal(size=300)
labels = np.where(values > 1, "high \\u05e9", "low")
figure = figures.conditional_plot(values, labels)
for kind in ("svg", "pdf", "png"):
    figure.save(f"{sys.argv[1]}/figure.{kind}")
"""


def texts(svg):
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter(SVG + "text")]


def all_kinds(site, measured):
    vis = lens.visualize(site.units([0, 1]), steps=2, size=64, progress=False)
    first = lens.visualize(site.unit(0), steps=2, size=64, progress=False)
    concepts = list(dict.fromkeys(measured.table["concept"]))
    return {
        "card": figures.unit_card(site.unit(0), measured=measured, visualization=first),
        "narrow": figures.unit_card(
            site.unit(0), measured=measured, visualization=False, width="single"
        ),
        "conditional": figures.conditional_plot(site.unit(0), "concept", measured=measured),
        "table": figures.response_table(site.units([0, 3]), concepts, measured=measured),
        "sheet": figures.image_sheet(vis),
    }


def test_names_are_text_and_nothing_else(site, hostile, tmp_path):
    for name, figure in all_kinds(site, hostile).items():
        root = ElementTree.fromstring(figure.svg)
        assert not [e for e in root.iter() if e.tag.split("}")[1] in ("script", "img", "a")], name
        assert not [k for e in root.iter() for k in e.attrib if k.startswith("on")], name
        longest = max(map(len, texts(figure.svg)))
        assert longest < 200 and "\n" not in "".join(texts(figure.svg))
        assert "<script" not in figure._repr_html_()
        for kind in ("pdf", "png"):
            assert figure.save(tmp_path / f"{name}.{kind}").stat().st_size > 1000
        said = pypdf.PdfReader(tmp_path / f"{name}.pdf").pages[0].extract_text()
        if name == "conditional":
            assert "</script><im" in " ".join(texts(figure.svg))
            assert "</script><im" in said


def test_faces_are_inside_the_svg(site, measured):
    figure = figures.conditional_plot(site.unit(0), measured=measured)
    rules = re.findall(
        r"font-family:'([^']+)';font-weight:(\d+);src:url\(data:font/woff;base64,([^)]+)",
        figure.svg,
    )
    assert {(family, weight) for family, weight, _ in rules} >= {
        ("Lens Sans", "400"), ("Lens Sans", "700"),
    }  # fmt: skip
    known = set()
    for _, _, source in rules:
        font = TTFont(io.BytesIO(base64.b64decode(source)))
        known |= {chr(code) for code in font.getBestCmap()}
        assert len(font.getBestCmap()) < 100  # a part, not the face
    assert {c for c in "".join(texts(figure.svg)) if not c.isspace()} <= known


def test_pdf_is_one_page_of_the_right_size_with_faces_inside(site, measured, tmp_path):
    figure = figures.conditional_plot(site.unit(0), measured=measured)
    path = figure.save(tmp_path / "figure.pdf")
    reader = pypdf.PdfReader(path)
    assert len(reader.pages) == 1
    box = reader.pages[0].mediabox
    assert np.allclose([float(box.width), float(box.height)], np.array(figure.size) / 25.4 * 72)
    assert figure.size[0] == pytest.approx(85)
    fonts = reader.pages[0]["/Resources"]["/Font"]
    assert len(fonts) >= 2
    for font in fonts.values():
        font = font.get_object()
        below = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        assert "/FontFile2" in below["/FontDescriptor"]
    assert "standard deviations" in reader.pages[0].extract_text()
    assert not {"/CreationDate", "/ModDate"} & set(reader.metadata or {})


def test_every_format_shows_the_same_picture(site, measured, tmp_path):
    figure = figures.conditional_plot(site.unit(0), measured=measured)
    png = Image.open(figure.save(tmp_path / "a.png", dpi=144)).convert("L")
    page = pypdfium2.PdfDocument(figure.save(tmp_path / "a.pdf"))[0]
    pdf = page.render(scale=2).to_pil().convert("L").resize(png.size)
    apart = np.abs(np.asarray(png, float) - np.asarray(pdf, float)).mean()
    assert apart < 6  # of 255; edges are smoothed differently


def test_same_bytes_in_another_process_and_under_other_settings(tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    for folder, seed in ((once, "1"), (again, "2")):
        folder.mkdir()
        env = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed * 9}
        if seed == "2":
            del env["SOURCE_DATE_EPOCH"]
        subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], check=True, env=env)
    values = np.random.default_rng(0).normal(size=300)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "mine", "axes.linewidth": 5}):
        figure = figures.conditional_plot(values, np.where(values > 1, "high \u05e9", "low"))
        figure.save(tmp_path / "figure.svg")
        assert matplotlib.rcParams["font.size"] == 20
    for kind in ("svg", "pdf", "png"):
        assert (once / f"figure.{kind}").read_bytes() == (again / f"figure.{kind}").read_bytes()
    assert (once / "figure.svg").read_bytes() == (tmp_path / "figure.svg").read_bytes()


def test_type_is_never_too_small_to_read(site, measured):
    for figure in all_kinds(site, measured).values():
        sizes = [float(s) for s in re.findall(r"font-size: ([\d.]+)px", figure.svg)]
        sizes += [float(s) for s in re.findall(r"font: (?:\w+ )?([\d.]+)px", figure.svg)]
        assert sizes and min(sizes) >= 6


def test_what_no_file_can_hold_is_left_out():
    assert clean("\ud800 alone\x00\n\uffff and more\u0085") == "alone and more"
    assert fitted("y" * 10**6, 10).endswith("…") and len(fitted("y" * 10**6, 10)) < 20
    assert fitted("", 10) == ""


def test_refusals(site, measured, tmp_path):
    figure = figures.conditional_plot(site.unit(0), measured=measured)
    with pytest.raises(BadInput, match=r"should end in .svg, .pdf or .png"):
        figure.save(tmp_path / "figure.jpg")
    with pytest.raises(BadInput, match="no folder"):
        figure.save(tmp_path / "nowhere" / "figure.svg")
    with pytest.raises(BadInput, match="dots an inch"):
        figure.save(tmp_path / "figure.png", dpi=5)
    with pytest.raises(BadInput, match='"single", "double"'):
        figures.conditional_plot(site.unit(0), measured=measured, width="triple")
    with pytest.raises(BadInput, match="between 60 and 400"):
        figures.conditional_plot(site.unit(0), measured=measured, width=10)
