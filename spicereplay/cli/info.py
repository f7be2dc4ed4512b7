"""`info`: sessions, channels, capabilities, gaps."""

from __future__ import annotations

from spicereplay.cli.common import Input, Json, KeyLog, opened, verb
from spicereplay.cli.output import print_info, print_json


@verb
def info(source: Input, json: Json = False, keylog: KeyLog = None) -> None:
    """Show the sessions and channels of a capture, what is missing from it, and the connections that are no SPICE."""
    from spicereplay.analysis.info import info as describe
    from spicereplay.replay.driver import no_spice

    with opened(source, keylog, require_spice=False) as replayed:
        facts = describe(replayed)
        if json:
            print_json(facts)
        else:
            print_info(facts)
        if not replayed.sessions and not replayed.reports:
            raise no_spice(replayed)
