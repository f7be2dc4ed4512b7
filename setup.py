"""Builds the Cython kernels; everything else is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# Directives live here and nowhere else, so that one variable turns every check on (used when fuzzing).
CHECKED = os.environ.get("SPICEREPLAY_CHECKED") == "1"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": True,
    "embedsignature": True,
    "freethreading_compatible": True,
}
# One kernel alone can be rebuilt: SPICEREPLAY_KERNELS='spicereplay/codecs/_kernels/lz.pyx'
PATTERN = os.environ.get("SPICEREPLAY_KERNELS", "spicereplay/*/_kernels/*.pyx")


def extension(path: Path) -> Extension:
    """Return the extension module of one `.pyx` file."""
    return Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        # Many Pythons compile extensions with -g, which makes a wheel three times as large.
        extra_compile_args=["-O1", "-g"] if CHECKED else ["-O3", "-g0"],
    )


kernels = sorted(Path().glob(PATTERN))
setup(
    ext_modules=cythonize(
        [extension(k) for k in kernels], build_dir="build", compiler_directives=DIRECTIVES, quiet=True
    )
    if kernels
    else [],
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
