"""What ships: every package and every data file of the source tree."""

import re
from pathlib import Path

import lens
from lens import zoo

ROOT = Path(__file__).parents[1]


def test_every_package_is_declared():
    text = (ROOT / "pyproject.toml").read_text()
    declared = set(
        re.findall(r'^    "(lens[\w.]*)",$', text.split("packages = [")[1].split("]")[0], re.M)
    )
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for room in ("lens", "widgets")
        for path in (ROOT / room).rglob("__init__.py")
    }
    found = {re.sub(r"^widgets", "lens.widgets", name) for name in found}
    assert declared == found


def test_every_data_file_is_declared():
    text = (ROOT / "pyproject.toml").read_text()
    suffixes = set(re.findall(r'"\*(\.\w+)"', text))
    shipped = [
        path
        for room in ("lens", "widgets")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py"
    ]
    assert shipped
    missing = [p.name for p in shipped if p.suffix not in suffixes and p.name != "py.typed"]
    assert not missing


def test_files_stay_small_enough_to_ship():
    here = Path(lens.__file__).parent
    weights = list((here / "zoo/weights").glob("*.safetensors"))
    assert {"glyph-rn"} <= {path.stem for path in weights} <= set(zoo.names())
    assert all(path.stat().st_size < 25 * 2**20 for path in weights)
    assert (here / "data/glyphs.webp").stat().st_size < 8 * 2**20
