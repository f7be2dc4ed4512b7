"""Pictures of a capture as another build of spicereplay makes them, in a process of its own.

A manifest holds no pixels. Where the expected picture of a wrong one is wanted, a build that is believed right can
make it: another interpreter, or a directory with another `spicereplay` package (a checkout with its kernels built).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from spicereplay.errors import UsageError
from spicereplay.golden.digest import Pixels
from spicereplay.golden.manifest import Key
from spicereplay.golden.observe import Seen, observe
from spicereplay.replay.driver import replay


def pictures_of(
    build: Path, capture: Path, keys: Collection[Key], *, every: int, keylog: Path | None = None
) -> Mapping[Key, Pixels]:
    """Return what `build` makes of some pictures of a capture; those that it has not are left out.

    Raises `UsageError` where it cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "pictures.npz")
        order = {
            "capture": str(capture.absolute()),
            "keylog": None if keylog is None else str(keylog.absolute()),
            "every": every,
            "keys": [astuple(key) for key in keys],
        }
        run_build(build, "spicereplay.golden.against", [str(out)], json.dumps(order))
        with np.load(out, allow_pickle=False) as found:
            return {key: _unpacked(found, n) for n, key in enumerate(keys) if f"bgra{n}" in found}


def run_build(build: Path, module: str, arguments: list[str], given: str = "") -> str:
    """Run a module of another build and return what it prints.

    `build` is an interpreter, or a directory with a `spicereplay` package for the present one. Raises `UsageError`
    where that cannot be done, with the last line of what it said.
    """
    environment = dict(os.environ)
    interpreter = sys.executable
    if build.is_dir():
        if not (build / "spicereplay" / "golden").is_dir():
            raise UsageError(f"{build}: no spicereplay package with golden manifests in it")
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(build.absolute()), os.environ.get("PYTHONPATH")))
        )
    elif os.access(build, os.X_OK):
        interpreter = str(build)
    else:
        raise UsageError(f"{build}: neither an interpreter nor a directory with a spicereplay package")
    # `-P`: the present directory may hold another spicereplay.
    command = [interpreter, "-P", "-m", module, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UsageError(f"{build}: {said[-1]}")
    return done.stdout


def _unpacked(found: Mapping[str, Any], n: int) -> Pixels:
    unknown = found.get(f"unknown{n}")
    return Pixels(found[f"bgra{n}"], str(found[f"format{n}"]), bool(found[f"alpha{n}"]), unknown)


def _main(out: str) -> None:
    """Write the pictures that the order on stdin asks for into an archive of arrays."""
    order = json.load(sys.stdin)
    wanted = {Key(*key): n for n, key in enumerate(order["keys"])}
    arrays: dict[str, Any] = {}

    def see(seen: Seen) -> None:
        n = wanted.get(seen.key)
        if n is None or seen.pixels is None:
            return
        pixels = seen.pixels
        arrays[f"bgra{n}"] = pixels.bgra.copy()
        arrays[f"format{n}"], arrays[f"alpha{n}"] = pixels.format, pixels.alpha
        if pixels.unknown is not None:
            arrays[f"unknown{n}"] = pixels.unknown.copy()

    with replay(order["capture"], keylog=order["keylog"]) as found:
        observe(found, see, every=order["every"])
    np.savez(out, **arrays)


if __name__ == "__main__":
    _main(sys.argv[1])
