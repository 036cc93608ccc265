"""Several files become the one module that a browser is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lens.widgets
from lens.widgets.esm import module

VIEWS = sorted(Path(lens.widgets.__file__).parent.glob("*/*.js"))


def test_an_imported_file_comes_first_and_once(tmp_path):
    (tmp_path / "shared.js").write_text(
        "// One is one.\nexport const one = 1;\nexport function two() {}\n"
    )
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "parts.js").write_text(
        'import { one } from "../shared.js";\nexport const part = one;\n'
    )
    (tmp_path / "view" / "view.js").write_text(
        'import { one, two } from "../shared.js";\nimport { part } from "./parts.js";\n'
        "const render = () => [one, two, part];\nexport default { render };\n"
    )
    text = module(tmp_path / "view" / "view.js")
    assert re.findall(r"^(?:const|function|export) (\w+)", text, re.MULTILINE) == [
        "one",
        "two",
        "part",
        "render",
        "default",
    ]
    assert "import" not in text
    assert "One is one" not in text


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.name)
def test_modules_are_small_and_their_top_level_names_are_their_own(path):
    text = module(path)
    assert "import " not in text.replace("import(", "")
    names = re.findall(r"^(?:const|let|function|async function|class) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert len(text.encode()) < 60_000


def test_no_markup_is_made_out_of_strings():
    for path in VIEWS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", module(path)
        )
