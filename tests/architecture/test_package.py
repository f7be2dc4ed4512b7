"""The package as a whole: what it exports, what it may import, and that its kernels are compiled."""

import importlib
import importlib.machinery
import subprocess
import sys
from pathlib import Path

import pytest

import spicereplay

ROOT = Path(spicereplay.__file__).parent
KERNELS = sorted(ROOT.glob("*/_kernels/*.pyx"))


def test_every_public_name_is_there_and_the_list_is_sorted() -> None:
    assert list(spicereplay.__all__) == sorted(spicereplay.__all__)
    for name in spicereplay.__all__:
        assert getattr(spicereplay, name) is not None


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.stem)
def test_each_kernel_is_an_extension_with_a_stub(kernel: Path) -> None:
    module = importlib.import_module(
        ".".join(("spicereplay", *kernel.relative_to(ROOT).with_suffix("").parts))
    )
    assert module.__file__ is not None
    assert module.__file__.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
    assert kernel.with_suffix(".pyi").exists()


def test_no_kernel_turns_checks_off_by_itself() -> None:
    for kernel in KERNELS:
        text = kernel.read_text()
        assert "# cython:" not in text, f"{kernel}: directives belong in setup.py"
        assert "boundscheck" not in text, f"{kernel}: directives belong in setup.py"


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, spicereplay; print(sorted({'numpy', 'pandas', 'av', 'jinja2', 'typer'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom spicereplay.cli import app\n"
        "print(sorted({'numpy', 'pandas', 'av', 'jinja2'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


ONE_LIST = {"protocol/enums.py"}
"""Longer than a module should be, because it is one list that nothing is gained by cutting."""


def test_modules_stay_short_enough_to_read() -> None:
    lengths = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in ROOT.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 700 and name not in ONE_LIST} == {}
