"""`bench`: how long decoding takes here."""

from __future__ import annotations

from dataclasses import asdict

from spicereplay.cli.common import Input, Json, KeyLog, opened, progress, verb
from spicereplay.cli.output import print_json, print_rows

HEADER = ("codec", "decoder", "size", "count", "median ms", "p95 ms", "p99 ms", "max ms", "Mpx/s")


@verb
def bench(source: Input, json: Json = False, keylog: KeyLog = None) -> None:
    """Decode every image and video frame and show how long each codec takes, by size and decoder.

    One thread; JPEG is decoded by every library that is here.
    """
    from spicereplay.analysis.latency import decode_latencies

    with opened(source, keylog) as found, progress() as tell:
        rows = decode_latencies(found, progress=tell)
    if json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        print("no image or video frame in this capture")
        return
    print_rows(
        HEADER,
        (
            (
                row.codec,
                row.backend,
                row.size,
                str(row.count),
                *(f"{ms:.3f}" for ms in (row.median_ms, row.p95_ms, row.p99_ms, row.max_ms)),
                f"{row.mpx_per_s:.1f}",
            )
            for row in rows
        ),
        range(3, 9),
    )
