"""What the axe engine finds in a page that a person who does not see or point would stumble on."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# The page of a saved view is the view alone, and a notebook's frame is not ours.
OUTSIDE = {"page-has-heading-one": {"enabled": False}, "region": {"enabled": False}}


def accessible(page: Page, view: str) -> None:
    """Assert that axe has no serious or critical finding in a view, given by its selector."""
    options: dict[str, Any] = {"rules": OUTSIDE, "resultTypes": ["violations"]}
    found = Axe().run(page, context=view, options=options).response["violations"]
    grave = [
        f"{finding['impact']}: {finding['id']}: {finding['help']}\n"
        + "\n".join(
            f"    {node['html'][:200]}\n    {node['failureSummary'][:400]}"
            for node in finding["nodes"][:5]
        )
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]
    assert not grave, "\n".join(grave)
