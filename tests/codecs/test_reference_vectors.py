"""Decoders against streams of the SPICE reference encoders, bit for bit."""

from collections import defaultdict
from pathlib import Path

import pytest
from support.codec_vectors import vectors_in

from spicereplay.codecs.window import GlzWindow

# In these the encoder refers to an earlier image whose source buffer had been reused by the time it looked: the
# stream says "as in image 5" where that image was never so, and no decoder can give the expected pixels. The
# numbers are the pixels in which stream and expectation differ.
REUSED_SOURCE = {"glz_rgb32_10": 128, "glz_rgb32_11": 112, "glz_mixed_12": 2431}


def wrong(folder: Path, codec: str) -> dict[str, int]:
    windows: dict[str, GlzWindow] = defaultdict(GlzWindow)
    chosen = [v for v in vectors_in(folder) if v.facts["codec"] == codec]
    assert chosen
    counts = {v.name: v.wrong_pixels(windows[v.facts.get("sequence", "")]) for v in chosen}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("codec", ["lz", "glz", "quic"])
def test_the_vectors_of_the_project(fixtures: Path, codec: str) -> None:
    assert wrong(fixtures / "vectors", codec) == {}


@pytest.mark.shared
@pytest.mark.parametrize(("codec", "known"), [("lz", {}), ("glz", REUSED_SOURCE), ("quic", {})])
def test_all_vectors(shared: Path, codec: str, known: dict[str, int]) -> None:
    assert wrong(shared / "vectors", codec) == known
