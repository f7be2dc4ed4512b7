"""Every notebook runs top to bottom, and what is committed is what comes out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
MEASURED = "measured"
"""Tag of cells whose words depend on how fast the machine is."""

spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "execute.py")
assert spec is not None
assert spec.loader is not None
execute = importlib.util.module_from_spec(spec)
spec.loader.exec_module(execute)

NOTEBOOKS = execute.notebooks()

# What jupyter says about its own files and kernels is not about these notebooks.
pytestmark = pytest.mark.filterwarnings("ignore:::(jupyter_client|jupyter_core|zmq|nbclient|nbformat)")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[list[str]]:
    """Say what a cell put out, without what it said."""
    return [sorted(output.get("data", {output.get("name", ""): ""})) for output in cell.outputs]


def words(cell: Any) -> list[str]:
    """Return what a cell printed, and what objects of this package showed; pandas' own forms change with pandas."""
    said = []
    for output in cell.outputs:
        html = output.get("data", {}).get("text/html", "")
        if output.output_type == "stream":
            said.append(output.text)
        elif html and "dataframe" not in html:
            said.append(html)
    return said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_says_what_is_committed(path: Path) -> None:
    kept, found = nbformat.read(path, as_version=4), execute.execute(path)
    for before, after in zip(code_cells(kept), code_cells(found), strict=True):
        assert kinds(before) == kinds(after), before.source
        if MEASURED not in before.metadata.get("tags", []):
            assert words(before) == words(after), f"{before.source}\nrun python -m notebooks.execute"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_is_small_clean_and_complete(path: Path) -> None:
    assert path.stat().st_size < 300_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert str(ROOT) not in path.read_text()
    assert str(Path.home()) + "/" not in path.read_text()
    for number, cell in enumerate(code_cells(notebook), 1):
        assert cell.execution_count == number
        assert set(cell.metadata) <= {"tags"}
        assert not any(output.output_type == "error" for output in cell.outputs)
        assert not any(output.get("name") == "stderr" for output in cell.outputs)
        if "sr.plots." in cell.source:
            assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    prose = "".join(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"
    )
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", prose):
        assert (FOLDER / target).exists(), target


def test_a_new_user_sees_a_plot_after_five_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "README.md").read_text().split("## In a notebook")[1].split("\n## ")[0]
    block = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len(block.strip().splitlines()) <= 5
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(block)])
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    shown = {kind for output in notebook.cells[0].outputs for kind in output.get("data", {})}
    assert "image/png" in shown
