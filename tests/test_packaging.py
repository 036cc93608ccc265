"""What ships: every package and every data file of the source tree."""

import re
from fnmatch import fnmatch
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
    line = next(line for line in text.splitlines() if line.startswith('"*" = ['))
    patterns = re.findall(r'"([^"]+)"', line)[1:]
    missing = []
    for path in (path for room in ("lens", "widgets") for path in (ROOT / room).rglob("*")):
        if path.is_dir() or path.suffix in (".py", ".pyc"):
            continue
        package = next(up for up in path.parents if (up / "__init__.py").exists())
        name = path.relative_to(package).as_posix()
        # setuptools' patterns stop at a slash
        matches = (fnmatch(name, p) and name.count("/") == p.count("/") for p in patterns)
        if not any(matches):
            missing.append(name)
    assert not missing


def test_files_stay_small_enough_to_ship():
    here = Path(lens.__file__).parent
    weights = list((here / "zoo/weights").glob("*.safetensors"))
    beside = {"glyph-generator", "glyph-discriminator"}
    assert {path.stem for path in weights} == {*zoo.names(), *beside}
    assert all(path.stat().st_size < 25 * 2**20 for path in weights)
    assert (here / "data/glyphs.webp").stat().st_size < 8 * 2**20
