"""Every notebook runs from top to bottom in a kernel of its own, in the order of their numbers."""

import json
import os
import resource
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = 180  # seconds, on two cores


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path, monkeypatch, capsys):
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    book = nbformat.read(path, 4)
    # The files that it writes go where nobody minds.
    client = NotebookClient(
        book, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    began, worked = time.perf_counter(), _worked()
    client.execute()
    took, worked = time.perf_counter() - began, _worked() - worked
    with capsys.disabled():
        print(f"  {path.name}: {took:.0f} s, {worked:.0f} s of work", end=" ")
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    said = [o.text for c in code for o in c.outputs if o.output_type == "stream"]
    assert not any("Traceback" in text for text in said)
    # On a machine that does other things too, the work is what counts.
    assert min(took, worked) < LONGEST


def _worked() -> float:
    """Seconds of processor time of all children that have ended: the kernel's, after its end."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs_and_with_a_kernel(path):
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    for cell in book.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


def test_numbers_say_the_order_and_links_lead_somewhere():
    assert [int(path.name[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
    names = {path.name for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            for part in "".join(cell["source"]).split("](")[1:]:
                target = part.split(")")[0]
                assert target.startswith("https://") or target in names, target
