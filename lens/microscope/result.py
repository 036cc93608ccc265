"""What `lens.microscope` returns: the site as it lies on the disk."""

from __future__ import annotations

import html
import json
import os
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "site.json"


@dataclass(frozen=True, repr=False)
class Microscope:
    """A finished web site of a model.

    Attributes
    ----------
    path
        Its folder: copy it to any static host, or open it as it is.
    manifest
        What it was made of, as ``site.json`` tells.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def index(self) -> Path:
        """The first page."""
        return self.path / "index.html"

    @property
    def pages(self) -> list[Path]:
        """Every page, the first one first."""
        found = sorted(self.path.rglob("*.html"), key=lambda page: (len(page.parts), page))
        return [self.index, *(page for page in found if page != self.index)]

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @property
    def left_out(self) -> list[str]:
        """What has no place on the pages, and why: a sentence each."""
        return list(self.manifest.get("left out", []))

    def page(self, unit: int, site: str | int = 0) -> Path:
        """Give a unit's own page.

        Parameters
        ----------
        unit
            Its number.
        site
            Its site's name, or the site's place in the web site.
        """
        from lens.errors import BadInput, suggestion

        names = [row["name"] for row in self.manifest["sites"]]
        if isinstance(site, str) and site not in names:
            raise BadInput(f"The web site has no pages of {site!r}.{suggestion(site, names)}")
        place = names.index(site) if isinstance(site, str) else site
        page = self.path / str(place) / "unit" / f"{unit}.html"
        if not page.exists():
            raise BadInput(f"The web site has no page of unit {unit} of its site {site!r}.")
        return page

    def open(self) -> bool:
        """Show the first page in a browser; False where there is none to show it."""
        return webbrowser.open(self.index.resolve().as_uri())

    def __repr__(self) -> str:
        units = sum(len(row["units"]) for row in self.manifest["sites"])
        sites = ", ".join(row["name"] for row in self.manifest["sites"])
        return (
            f"Microscope of {self.manifest['model']}: {units:,} units of {sites}, "
            f"{len(self.pages):,} pages, {self.bytes / 1e6:.1f} MB; open {self.index}"
        )

    def _repr_html_(self) -> str:
        # Notebooks serve what lies below them; a link to a file of the disk would not open.
        here = os.path.relpath(self.index)
        link = self.index.resolve().as_uri() if here.startswith("..") else Path(here).as_posix()
        return (
            f'<p><a href="{html.escape(link)}" target="_blank">{html.escape(str(self.index))}</a>'
            f"<br>{html.escape(repr(self))}</p>"
        )


def read(path: Path) -> dict[str, Any] | None:
    """Read the manifest of a site; None where there is none, or it is nobody's we know."""
    try:
        found = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == "lens-microscope" else None
