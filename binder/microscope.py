"""The small web site of the embedded model that Binder opens at once: made, unpacked, renewed.

    python binder/microscope.py           # draw it (minutes), pack it into binder/microscope.zip
    python binder/microscope.py --pages   # only write its pages again, with the present code
    python binder/microscope.py --unpack FOLDER

It has the units of glyph-rn's last stage that answer best to one concept however it is shown. The
same code on the same kind of machine gives the same bytes. Beside the site, the .zip keeps all that
the pages show, so that they can be written again without drawing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import lens
from lens.microscope import build
from lens.microscope.folder import PARTS, Folder
from lens.microscope.keeping import loads
from lens.microscope.plan import Plan, make_plan
from lens.microscope.site_page import parsed
from lens.store.lock import LOCK

ZIP = Path(__file__).with_name("microscope.zip")
UNITS = 96
SITE, KEPT = "site/", "kept/0.json"


def make(where: Path = ZIP) -> Path:
    """Draw the best units and pack the site."""
    model = lens.load()
    table = lens.multimodal(model)
    plan = _plan(model, sorted(table["unit"].head(UNITS).tolist()))
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place) / "site")
        with folder.building(plan, False):
            folder.finish(plan, build.build(folder, plan, build.bars_for(True)))
            kept = folder.read(f"{PARTS}/0-shown.json")
            folder.sweep()
        return pack(folder.path, kept, where)


def renew(where: Path = ZIP) -> Path:
    """Write the pages of the packed site again, from what it keeps."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site"
        kept = unpack(folder, where)
        rewrite(folder, kept)
        return pack(folder, kept, where)


def rewrite(folder: Path, kept: bytes) -> Plan:
    """Write all pages of an unpacked site again; the pictures stay."""
    model = lens.load()
    units = json.loads((folder / "site.json").read_bytes())["sites"][0]["units"]
    plan, place = _plan(model, units), Folder(folder)
    build.write_site(place, loads(kept.decode(), plan.chosen[0][0]))
    data = [parsed(place.read("0/data.js").decode())]
    place.finish(plan, build.write_rest(place, plan, data))
    place.sweep()
    return plan


def pack(folder: Path, kept: bytes, where: Path = ZIP) -> Path:
    """Pack a site: names in order, no times, so that the same files are the same bytes."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                   if path.is_file() and path.name != LOCK)  # fmt: skip
    new = where.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as packed:
        for name in names:
            _add(packed, SITE + name, (folder / name).read_bytes())
        _add(packed, KEPT, kept)
    return new.replace(where)


def unpack(folder: Path, where: Path = ZIP) -> bytes:
    """Write the packed site into a folder, in the place of what was there; return what it keeps."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(where) as packed:
        for name in packed.namelist():
            if name.startswith(SITE):
                path = folder / name.removeprefix(SITE)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(packed.read(name))
        return packed.read(KEPT)


def _plan(model: Any, units: list[int]) -> Plan:
    """Plan the web site that `lens.microscope(model, units=...)` builds."""
    return make_plan(
        model, None, None, units, activations=None, visualize=True, facets="multimodal",
        quality=True, vocabulary=None, batch_size=32, workers=None, engine="local",
    )  # fmt: skip


def _add(packed: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".webp") else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    packed.writestr(entry, data, compresslevel=9)


def main() -> None:
    """Make, renew or unpack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", action="store_true", help="write the pages again, draw nothing")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    if chosen.unpack:
        unpack(chosen.unpack)
        print(chosen.unpack / "index.html")
        return
    where = renew() if chosen.pages else make()
    print(f"{where}: {where.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
