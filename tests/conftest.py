"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The captures and bug reports that travel with the project."""
    return ROOT / "fixtures"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The larger set of captures some machines keep beside the checkout; a stranger's clone has none."""
    folder = ROOT.parent / "shared"
    if not (folder / "captures").is_dir():
        if os.environ.get("SPICEREPLAY_REQUIRE_SHARED") == "1":
            pytest.fail("SPICEREPLAY_REQUIRE_SHARED=1, and there is no folder of shared captures")
        pytest.skip("no folder of shared captures beside the checkout")
    return folder
