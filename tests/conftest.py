"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, not about the code. CI takes the same examples each
# time, so that a failure there is the change's; HYPOTHESIS_PROFILE=deep looks further, by hand.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.register_profile("deep", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))

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
