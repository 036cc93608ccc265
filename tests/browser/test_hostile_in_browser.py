"""Names, labels and texts that are no friends, in every view: they are read, and do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_view import SETUP
from playwright.sync_api import expect

from lens import widgets

pytestmark = pytest.mark.browser

SCRIPT = "</script><img src=x onerror=alert(1)>"
QUOTES = "\"double\" 'single' `back` &amp; <b>bold</b>"
HEBREW = "\u202e\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd"
EMOJI = "\U0001f600 first line\nsecond\tline"
LONG = "x" * 10_000
NAMES = [SCRIPT, QUOTES, HEBREW, EMOJI, LONG]

MORE = f"""
names = {NAMES!r}
class Renamed:
    def __init__(self, stimuli):
        self.stimuli = stimuli
        known = dict(zip(sorted(set(stimuli.table["concept"])), names))
        self.table = stimuli.table.replace({{"concept": known}})
    def __len__(self):
        return len(self.stimuli)
    def __getitem__(self, i):
        return self.stimuli[i]

few = Renamed(few)
model = lens.wrap(clip, tokenizer=tokens, name=names[0])
site = model.site("image.blocks.2")
table = lens.multimodal(model, site, few, progress=False)
table.loc[table.index[:5], "concept"] = names
units = site.units([int(unit) for unit in table["unit"][:5]])
labels = [names[i % 5] for i in range(30)]
pictures = [few[i] for i in range(30)]
proj = lens.project(pictures, "pca", model=model, labels=labels, texts=names, progress=False)
proj.cluster(on="vectors", smallest=5)
for i, name in enumerate(names):
    proj.labels.add(name[:200], [i])
views = [
    widgets.units(table, site, stimuli=few),
    lens.neuron(units[0], units=units, stimuli=few, visualize=False),
    widgets.layers(model, tables=table),
    facets(units[:1], stimuli=(pictures, labels), steps=1, progress=False).view(),
    widgets.live(units, steps=2),
    proj.view(),
    lens.attention(model, pictures[:5], names).explore(),
    lens.attribute(model, pictures[0], names, "saliency", target=0).view(),
    lens.attribute(model, pictures[0], names[4][:100], "saliency").view(),
    lens.attribute(model, pictures[0], names[0] + names[2], "saliency", explain="text").view(),
]
views[4].wait(60)
"""
ROOTS = ("units", "neuron", "layers", "facets", "live", "map", "attention", "heatmap")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    made: dict = {}
    exec(SETUP + MORE, made)
    page = widgets.save(tmp_path_factory.mktemp("hostile") / "x.html", *made["views"])
    assert "onerror=alert" not in page.read_text(encoding="utf-8")
    return page


def said(page, root: str) -> str:
    """Everything that a view tells: its text, and what is told on hovering and to who listens."""
    return page.evaluate(
        """root => [...document.querySelectorAll(`.lens-${root}, .lens-${root} *`)].flatMap(
        (node) => [node.title, node.getAttribute('aria-label'), ...[...node.childNodes]
            .filter((child) => child.nodeType === 3).map((child) => child.data)]).join('\\n')""",
        root,
    )


@pytest.mark.parametrize("width", [480, 1400])
def test_names_are_text_in_every_view(saved, watch, width):
    watched = watch(saved.as_uri(), viewport={"width": width, "height": 900}, offline=True)
    page = watched.page
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(saved.as_uri())
    for root in ROOTS:
        expect(page.locator(f".lens-{root}").first).to_be_visible()
    embedding = page.locator(".lens-map")
    embedding.locator("details.table summary").click()
    expect(embedding.locator("tbody tr")).to_have_count(20)
    for root in ROOTS:
        assert SCRIPT in said(page, root), root
    # Every list of names has all of them, to their first letters at least.
    for root in ("units", "facets", "map"):
        told = said(page, root)
        for name in NAMES:
            assert name[:20] in told, (root, name[:20])
    # What is chosen from names by data: colours, clusters, labels, inputs, words.
    for colour in embedding.locator("select option").all_inner_texts():
        embedding.locator("select").select_option(colour)
        for choice in embedding.locator(".legend button").all()[:6]:
            choice.click()
    for label in embedding.locator(".labels li button").all():
        label.click()
        expect(embedding.locator(".count")).to_have_text("1 point selected")
    for text in NAMES[:4]:
        embedding.locator(".search input[type=search]").fill(text)
        page.keyboard.press("Enter")
    explorer = page.locator(".lens-attention")
    for row, text in enumerate(NAMES):
        explorer.locator("select").select_option(str(row))
        expect(explorer.locator(".prompt")).to_have_attribute("title", text)
        explorer.locator("[data-tower=text]").click()
        explorer.locator(".chip").nth(1).click()
        explorer.locator("[data-tower=image]").click()
    page.locator(".lens-heatmap").last.locator(".chip").nth(2).click()
    expect(page.locator("img, script[src], b:has-text('bold'):text-is('bold')")).to_have_count(0)
    assert not dialogs
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.clean()
