"""Replay SPICE remote desktop captures and bug reports, and say what went wrong.

    import spicereplay as sr

    with sr.open("bug.zip") as capture:
        capture.verdict                  # what went wrong, and the evidence
        capture.sessions[0].streams      # a pandas DataFrame
        sr.plots.streams(capture)        # a plot, with matplotlib
    sr.compare("before.zip", "after.zip")    # what differs, and how sure that is

Everything is loaded when it is first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spicereplay._version import __version__
from spicereplay.errors import (
    DecodeError,
    InputError,
    NoSpiceError,
    NotACaptureError,
    OutputExistsError,
    SpiceReplayError,
    UsageError,
)

if TYPE_CHECKING:
    from spicereplay import plots
    from spicereplay.api import Capture, Session, compare, open

__all__ = [
    "Capture",
    "DecodeError",
    "InputError",
    "NoSpiceError",
    "NotACaptureError",
    "OutputExistsError",
    "Session",
    "SpiceReplayError",
    "UsageError",
    "__version__",
    "compare",
    "open",
    "plots",
]

_LAZY = frozenset({"Capture", "Session", "compare", "open"})


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from spicereplay import api

        return getattr(api, name)
    if name == "plots":
        from importlib import import_module

        return import_module("spicereplay.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
