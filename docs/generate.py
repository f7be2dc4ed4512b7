"""Makes the reference pages that follow from declarations in the code.

.venv/bin/python -m docs.generate          writes them
.venv/bin/python -m docs.generate --check  says which are out of date, exit status 1 if any is
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spicereplay.analysis.schema import TABLES
from spicereplay.comparison import words
from spicereplay.comparison.quantities import QUANTITIES
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side

HERE = Path(__file__).parent / "reference"


def tables() -> Iterator[str]:
    """Yield the lines of the page about tables."""
    yield "# Tables"
    yield ""
    yield "Every table is an attribute of an opened capture and of each of its sessions, and a name for"
    yield "`spicereplay table INPUT NAME`. Times ending in `_s` are seconds since the first packet of the capture (for"
    yield "recordings with a clock of their own, since that clock's zero); NaN (JSON: null) means not seen."
    for table in TABLES.values():
        yield ""
        yield f"## {table.name}"
        yield ""
        yield f"{table.meaning[0].upper()}{table.meaning[1:]}."
        yield ""
        yield "| column | dtype | unit | meaning |"
        yield "|---|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | {column.dtype} | {column.unit} | {column.meaning} |"


def messages() -> Iterator[str]:
    """Yield the lines of the page about messages."""
    yield "# Messages"
    yield ""
    yield "Every message that is declared, by channel and by who sends it. All are parsed and built from one"
    yield "declaration; a type that is not listed keeps its bytes and is counted."
    for channel in ChannelType:
        for side in Side:
            known = registry.known_types(channel, side)
            yield ""
            yield f"## {channel.label}, from the {side}"
            yield ""
            yield "| type | name | body bytes |"
            yield "|---|---|---|"
            for kind, (least, most) in sorted(known.items()):
                size = (
                    str(least)
                    if least == most
                    else f"{least} and more"
                    if most is None
                    else f"{least} to {most}"
                )
                yield f"| {kind} | `{registry.message_name(channel, side, kind)}` | {size} |"


def command_line() -> Iterator[str]:
    """Yield the lines of the page about the command line."""
    from typer.main import get_command

    from spicereplay.cli.app import app

    yield "# Command line"
    yield ""
    yield "Results go to stdout, progress and remarks to stderr. Exit codes: 0 done; 1 `--fail-on` or a golden check"
    yield "did not hold; 2 wrong usage; 3 the input cannot be read or has no SPICE in it; 130 interrupted. An existing"
    yield "output is not overwritten without `--force`. More keys may be added to the JSON; none of those shown in"
    yield "[Tables](tables.md) goes away."
    for name, verb in get_command(app).commands.items():  # type: ignore[attr-defined]
        yield ""
        yield f"## {name}"
        yield ""
        if not hasattr(verb, "commands"):
            yield from _verb(name, verb)
            continue
        yield f"`spicereplay {name}`: {verb.help}"
        for inner, command in verb.commands.items():
            yield ""
            yield from _verb(f"{name} {inner}", command)


def _verb(name: str, verb: Any) -> Iterator[str]:
    """Yield what a verb does, its arguments and options."""
    arguments = [p for p in verb.params if p.param_type_name == "argument"]
    options = [p for p in verb.params if p.param_type_name == "option" and "--help" not in p.opts]
    line = " ".join(["spicereplay", name, *(a.metavar or a.name.upper() for a in arguments)])
    yield f"`{line}`: {verb.help}"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for parameter in arguments:
        yield f"| `{parameter.metavar or parameter.name.upper()}` | {parameter.help} |"
    for parameter in options:
        spelt = ", ".join(f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts))
        yield f"| {spelt} | {parameter.help} |"


def quantities() -> Iterator[str]:
    """Yield the lines of the page about what sessions are compared by."""
    yield "# Quantities of a comparison"
    yield ""
    yield "What `spicereplay compare` holds sessions against each other by, in the order of `quantities` in its JSON;"
    yield "[Comparing sessions](../topics/compare.md) tells how. An effect matters from the difference in the column"
    yield "*matters from* on; where there is a factor, the larger value must also be that many times the smaller."
    subject = ""
    for quantity in QUANTITIES.values():
        if quantity.subject != subject:
            subject = quantity.subject
            yield ""
            yield f"## {subject}"
            yield ""
            yield "| name | what it is | from | one observation | worse | matters from |"
            yield "|---|---|---|---|---|---|"
        limit = words.change_text(quantity, quantity.relevant)
        if quantity.factor > 1:
            limit += f", {words.factor_text(quantity.factor)}"
        yield (
            f"| `{quantity.name}` | {quantity.meaning} | {quantity.source} | {quantity.independent} "
            f"| {quantity.worse} | {limit} |"
        )


PAGES = {
    "tables.md": tables,
    "messages.md": messages,
    "command-line.md": command_line,
    "quantities.md": quantities,
}


def main() -> int:
    """Write or check the pages; return the exit status."""
    stale = []
    for name, make in PAGES.items():
        text = "\n".join(make()) + "\n"
        page = HERE / name
        if "--check" in sys.argv[1:]:
            if not page.exists() or page.read_text() != text:
                stale.append(name)
        else:
            page.write_text(text)
    for name in stale:
        print(f"docs/reference/{name} is out of date: python -m docs.generate")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
