"""Scripts of real recordings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spicereplay.replay import replay
from spicereplay.serve import Script, script_of


@pytest.fixture(scope="module")
def fixtures_script(fixtures: Path) -> Iterator[Script]:
    """A desktop with GLZ, JPEG and cached images."""
    with replay(fixtures / "captures" / "desktop-jpeg-zlib-wan" / "capture.pcap") as opened:
        yield script_of(opened)
