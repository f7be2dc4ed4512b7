"""What tests need and is not installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(why: str) -> NoReturn:
    """Skip the test; in CI, where everything must be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed in CI: {why}")
    pytest.skip(f"not to be had: {why}")
