"""Runs the notebooks top to bottom, with warnings as errors, and keeps of the outputs what is worth keeping.

.venv/bin/python -m notebooks.execute              runs all and writes their outputs
.venv/bin/python -m notebooks.execute 1-triage     one of them

What is dropped: times of execution, the kernel's version, and whatever else says something about one machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SECONDS = 60
"""What a single cell may take; ordinary ones take one or two."""

_STRICT = "import warnings; warnings.filterwarnings('error', module=r'__main__|spicereplay')"
"""Warnings are errors where a cell or the package causes them; what the kernel does to itself is its own matter."""
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks() -> list[Path]:
    """Return all notebooks in the order in which they are to be read."""
    return sorted(HERE.glob("*.ipynb"))


def execute(path: Path) -> Any:
    """Return a notebook as it comes out of a fresh kernel, normalised.

    Raises `nbclient.exceptions.CellExecutionError` for the first cell that fails or warns.
    """
    notebook = nbformat.read(path, as_version=4)
    strict = nbformat.v4.new_code_cell(_STRICT)
    notebook.cells.insert(0, strict)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(HERE)}},
    )
    client.execute()
    notebook.cells.remove(strict)
    notebook.metadata = nbformat.from_dict(_METADATA)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    return notebook


def main(names: list[str]) -> int:
    """Run the notebooks of these names, or all."""
    for path in notebooks():
        if not names or path.stem in names:
            nbformat.write(execute(path), path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
