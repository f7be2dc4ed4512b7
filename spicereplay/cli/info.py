"""`info`: sessions, channels, capabilities, gaps."""

from __future__ import annotations

from spicereplay.cli.common import Input, Json, KeyLog, tables_of, verb
from spicereplay.cli.output import print_info, print_json


@verb
def info(source: Input, json: Json = False, keylog: KeyLog = None) -> None:
    """Show the sessions and channels of a capture, and what is missing from it."""
    from spicereplay.analysis.info import info as describe

    with tables_of(source, keylog) as tables:
        facts = describe(tables.replay)
        if json:
            print_json(facts)
        else:
            print_info(facts)
