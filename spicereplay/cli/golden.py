"""`golden`: captures as regression tests of the decoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spicereplay.cli.common import (
    EXIT_INPUT,
    EXIT_NOT_HELD,
    Force,
    Json,
    KeyLog,
    Verb,
    complain,
    progress,
    verb,
)
from spicereplay.cli.output import print_json, print_rows

if TYPE_CHECKING:
    from spicereplay.golden.check import Outcome
    from spicereplay.golden.matrix import Row

golden = typer.Typer(
    help="Hold the decoders to what captures showed when they were recorded.",
    no_args_is_help=True,
)

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH...",
        help="Captures, bug reports, or folders, which are walked through for both.",
        show_default=False,
    ),
]
Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="BUILD",
        help="Another build of spicereplay: an interpreter, or a directory with the package in it.",
        show_default=False,
    ),
]
MATRIX_HEADER = ("codec", "decoder", "pictures", "agreement", "Mpx/s", "ratio", "recorded")


@golden.command("record", cls=Verb)
@verb
def record(
    paths: Paths,
    force: Force = False,
    speed: Annotated[
        bool,
        typer.Option(
            "--speed", help="Measure how fast each codec is, too; without it older figures are kept."
        ),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            min=1,
            help="Look at surfaces after so many messages of a display.",
            show_default="as before, else 256",
        ),
    ] = None,
    keylog: KeyLog = None,
) -> None:
    """Write a manifest beside each capture: what it shows now is what it must show from now on."""
    from spicereplay.errors import InputError, OutputExistsError
    from spicereplay.golden.manifest import beside
    from spicereplay.golden.matrix import relative_speeds
    from spicereplay.golden.record import record_anew

    captures = _found(paths)
    taken = [beside(capture) for capture in captures if beside(capture).exists()]
    if taken and not force:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise OutputExistsError(f"{taken[0]}{more} already there; --force records anew")
    failed = 0
    with progress() as tell:
        for n, capture in enumerate(captures):
            path = beside(capture)
            try:
                speeds = relative_speeds(capture, keylog=keylog) if speed else None
                manifest, text, _ = record_anew(capture, path, every=every, keylog=keylog, speeds=speeds)
            except InputError as error:
                complain(f"{capture}: {error}")
                failed += 1
                continue
            except OSError as error:
                complain(f"{path}: {error.strerror}")
                failed += 1
                continue
            share = 100 * len(text) / max(1, manifest.size)
            print(
                f"{path}: {len(manifest.entries)} pictures, {len(text)} bytes ({share:.1f} % of the capture)"
            )
            if tell is not None:
                tell("recording", n + 1, len(captures))
    if failed:
        raise typer.Exit(EXIT_INPUT)


@golden.command("check", cls=Verb)
@verb
def check(
    paths: Paths,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", metavar="DIR", help="Write pictures of what differs there.", show_default=False
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write the outcome as JUnit XML.", show_default=False),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder", metavar="NAME", help="Judge another program's decoder.", show_default=False
        ),
    ] = None,
    against: Against = None,
    tolerant: Annotated[
        bool,
        typer.Option("--tolerant", help="Accept lossy pictures that are merely alike from the same library."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Captures checked at a time.", show_default="one per processor"),
    ] = None,
    json: Json = False,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Replay captures and compare every picture with the manifests; exit with 1 if one differs or lacks one."""
    from spicereplay.errors import OutputExistsError, UsageError
    from spicereplay.golden.check import Options, check_all
    from spicereplay.golden.decoders import load_decoder
    from spicereplay.golden.junit import junit as document

    if junit is not None and junit.exists() and not force:
        raise OutputExistsError(f"{junit} is already there; --force overwrites it")
    if pictures is not None and pictures.exists():
        if not pictures.is_dir():
            raise UsageError(f"{pictures} is no folder")
        if not force and any(pictures.iterdir()):
            raise OutputExistsError(
                f"{pictures} is not empty: what an earlier check drew would mix with this one's; --force lets it"
            )
    if against is not None and pictures is None:
        raise UsageError("--against draws what was expected: give --pictures DIR for that, too")
    if decoder is not None:
        load_decoder(decoder)
    captures = _found(paths)
    options = Options(pictures, decoder, against, tolerant, keylog)
    with progress() as tell:
        outcomes = check_all(
            captures,
            options,
            jobs=jobs,
            done=None if tell is None else lambda _, done, total: tell("checking", done, total),
        )
    if json:
        print_json([_as_json(outcome) for outcome in outcomes])
    else:
        _print_outcomes(outcomes)
    if junit is not None:
        junit.write_bytes(document(outcomes, Path()))
    if any(outcome.verdict.failed for outcome in outcomes):
        raise typer.Exit(EXIT_NOT_HELD)


@golden.command("matrix", cls=Verb)
@verb
def matrix(
    paths: Paths,
    decoder: Annotated[
        list[str] | None,
        typer.Option(
            "--decoder",
            metavar="NAME",
            help="Another program's decoder; may be repeated.",
            show_default=False,
        ),
    ] = None,
    against: Against = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            metavar="R",
            min=1.0,
            help="Exit with 1 when a codec is slower than R times what the manifest says.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    keylog: KeyLog = None,
) -> None:
    """Decode captures with every decoder there is: whether they agree, and how fast each is.

    Speeds are ratios to a fixed piece of work in the same run, so that those of other machines can be compared.
    """
    from spicereplay.golden.decoders import load_decoder
    from spicereplay.golden.manifest import beside, read_manifest
    from spicereplay.golden.matrix import matrix as measure
    from spicereplay.golden.matrix import too_slow

    decoders = [load_decoder(name) for name in decoder or ()]
    captures = _found(paths)
    slow: list[str] = []
    measured = compared = 0
    document = []
    with progress() as tell:
        for capture in captures:
            path = beside(capture)
            recorded = read_manifest(path).speeds if path.exists() else {}
            rows = measure(
                capture, decoders=decoders, against=against, recorded=recorded, keylog=keylog, progress=tell
            )
            if max_slowdown is not None:
                slow += [f"{capture}: {sentence}" for sentence in too_slow(rows, max_slowdown)]
                measured += sum(row.reference and row.ratio is not None for row in rows)
                compared += sum(row.slowdown is not None for row in rows)
            if json:
                document.append({"capture": str(capture), "decoders": [_row_as_json(row) for row in rows]})
                continue
            if len(captures) > 1:
                print(f"{capture}:")
            _print_matrix(rows)
    if json:
        print_json(document)
    for sentence in slow:
        complain(sentence)
    if max_slowdown is not None:
        complain(
            f"{compared} of {measured} speeds compared"
            + ("" if compared else "; none is recorded: `golden record --speed` does")
        )
        if slow or not compared:
            raise typer.Exit(EXIT_NOT_HELD)


def _found(paths: list[Path]) -> list[Path]:
    """Return the captures that the paths stand for, and say what was passed over."""
    from spicereplay.errors import InputError
    from spicereplay.golden.inputs import find_captures

    found = find_captures(paths)
    for path in found.passed_over:
        complain(f"{path}: passed over, it is no capture or bug report")
    if not found.captures:
        raise InputError(f"no capture or bug report in {', '.join(map(str, paths))}")
    return list(found.captures)


def _print_outcomes(outcomes: list[Outcome]) -> None:
    from spicereplay.text import visible

    for outcome in outcomes:
        mark = "!!" if outcome.verdict.failed else " –" if not outcome.compared else "  "
        print(f"{mark} {visible(str(outcome.capture))}: {visible(outcome.sentence)}")
        for n, difference in enumerate(outcome.differences[:MOST_SHOWN]):
            print(f"     {'first: ' if n == 0 else ''}{visible(str(difference))}")
            if difference.pictures:
                print(f"       {visible(str(difference.pictures[0]))}")
        if outcome.differing > MOST_SHOWN:
            print(f"     … and {outcome.differing - MOST_SHOWN} more")
    failed = sum(outcome.verdict.failed for outcome in outcomes)
    empty = sum(not outcome.verdict.failed and not outcome.compared for outcome in outcomes)
    held = len(outcomes) - failed - empty
    pictures = sum(sum(outcome.compared.values()) for outcome in outcomes)
    nothing = f", {empty} with nothing to compare" if empty else ""
    print(f"{held} of {len(outcomes)} captures held, {failed} failed{nothing}; {pictures} pictures compared")


MOST_SHOWN = 5
"""Differences of one capture that are printed."""


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "capture": str(outcome.capture),
        "verdict": str(outcome.verdict),
        "failed": outcome.verdict.failed,
        "detail": outcome.sentence,
        "compared": dict(outcome.compared),
        "within_tolerance": dict(outcome.tolerated),
        "not_judged": dict(outcome.not_judged),
        "differing": dict(outcome.wrong),
        "differences": [
            {
                "session": difference.key.session,
                "channel": difference.key.channel,
                "message": difference.key.row,
                "position": difference.position,
                "kind": difference.key.kind,
                "what": difference.key.what,
                "width": difference.size[0],
                "height": difference.size[1],
                "detail": difference.what,
                "pictures": [str(file) for file in difference.pictures],
            }
            for difference in outcome.differences
        ],
    }


def _print_matrix(rows: list[Row]) -> None:
    if not rows:
        print("no image or video frame in this capture")
        return
    cells = []
    for row in rows:
        ratio = "–" if row.ratio is None else f"{row.ratio:.3g}"
        speed = "–" if not row.took_ns else f"{row.pixels / row.took_ns * 1000:.1f}"
        recorded = "–" if row.recorded is None else f"{row.recorded:.3g}"
        cells.append((row.codec, row.decoder, str(row.pictures), row.agreement, speed, ratio, recorded))
    print_rows(MATRIX_HEADER, cells, (2, 4, 5, 6))


def _row_as_json(row: Row) -> dict[str, object]:
    import math

    return {
        "codec": row.codec,
        "decoder": row.decoder,
        "used": row.reference,
        "pictures": row.pictures,
        "exact": row.exact,
        "refused": row.refused,
        "withheld": row.withheld,
        "least_psnr_db": None if math.isinf(row.least_psnr_db) else round(row.least_psnr_db, 2),
        "ratio": row.ratio,
        "recorded_ratio": row.recorded,
        "missing": row.missing or None,
    }
