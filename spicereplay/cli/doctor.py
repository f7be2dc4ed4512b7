"""`doctor`: what decodes what on this machine."""

from __future__ import annotations

from dataclasses import asdict

from spicereplay.cli.common import Json, verb
from spicereplay.cli.output import print_doctor, print_json


@verb
def doctor(json: Json = False) -> None:
    """Show the decoders found, their versions, what is missing and how to get it."""
    from spicereplay.codecs.select import backends

    found = backends()
    if json:
        print_json([asdict(b) for b in found])
    else:
        print_doctor(found)
