"""Which theme the views of a page wear, by what a reader sees: paper and ink."""

from __future__ import annotations

from collections.abc import Iterable

from playwright.sync_api import FrameLocator, Page, expect

SHADES = """root => {
    const shade = (colour) => {
        const pen = document.createElement('canvas').getContext('2d');
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
        return (0.3 * r + 0.6 * g + 0.1 * b) / 255;
    };
    const { backgroundColor, color } = getComputedStyle(root);
    return [shade(backgroundColor), shade(color)];
}"""


def wears(page: Page | FrameLocator, theme: str, views: Iterable[str]) -> None:
    """Assert that views, given by their classes, are light or dark: their paper and their ink."""
    for name in views:
        root = page.locator(f".{name}").first
        expect(root).to_have_css("color-scheme", theme)
        paper, ink = root.evaluate(SHADES)
        dark, light = (paper, ink) if theme == "dark" else (ink, paper)
        assert dark < 0.25 and light > 0.75, (name, theme, paper, ink)
        if name == "lens-map":  # it draws in its own colours
            expect(root).to_have_attribute("data-theme", theme)
