"""`sniff`: record a network interface as a capture that can be replayed."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import EXIT_INTERRUPTED, Force, complain, verb
from spicereplay.errors import UsageError


@verb
def sniff(
    interface: Annotated[
        str | None,
        typer.Argument(metavar="INTERFACE", help="As --list names it.", show_default=False),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option(
            "--port",
            "-p",
            metavar="P",
            help="TCP port of the SPICE server; may be given several times.",
            min=1,
            max=65535,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The capture: pcapng (dumpcap), or pcap (tcpdump).",
            show_default="named after interface and time",
        ),
    ] = None,
    ring: Annotated[
        str | None,
        typer.Option(
            "--ring", metavar="SIZE", help="Keep only the last SIZE (500M), in 8 files.", show_default=False
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", metavar="S", min=0.1, help="Stop after so many seconds.", show_default="at Ctrl-C"
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print how to do it with tcpdump, and do nothing.")
    ] = False,
    show_interfaces: Annotated[bool, typer.Option("--list", help="List the interfaces.")] = False,
    force: Force = False,
) -> None:
    """Record SPICE from a network interface with dumpcap or tcpdump, whole packets and nothing else."""
    import signal
    import threading

    from spicereplay.cli.output import print_rows
    from spicereplay.tap.interfaces import interfaces
    from spicereplay.tap.options import parse_size
    from spicereplay.tap.sniffing import SUFFIXES, Sniffing, chosen_program, instructions, sniff

    if show_interfaces:
        rows = ((one.name, one.state, ", ".join(one.addresses)) for one in interfaces())
        print_rows(("interface", "state", "addresses"), rows)
        return
    if interface is None or not port:
        raise UsageError("which INTERFACE (--list names them) and which --port?")
    program = None if show else chosen_program(output)
    if output is None:
        now = datetime.datetime.now()
        output = Path(f"spice-{interface}-{now:%Y%m%d-%H%M%S}{SUFFIXES[program or 'tcpdump']}")
    ring_bytes = None if ring is None else parse_size(ring)
    wanted = Sniffing(interface, tuple(dict.fromkeys(port)), output, ring_bytes)
    if show:
        typer.echo(instructions(wanted))
        return
    if program is None:
        raise UsageError(_nobody(wanted.output, instructions(wanted)))
    over = threading.Event()
    interrupted: list[int] = []

    def stop(number: int, _: object) -> None:
        interrupted.append(number)
        over.set()

    ports = ", ".join(map(str, wanted.ports))
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done = sniff(
            wanted,
            program,
            over=over,
            started=lambda: complain(f"{program} records {interface}, port {ports}; Ctrl-C ends it"),
            duration_s=duration,
            force=force,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for path in done.files:
        typer.echo(path)
    packets = "" if done.packets is None else f"{done.packets:,} packets"
    dropped = f", {done.dropped:,} more were dropped by the kernel" if done.dropped else ""
    if packets:
        complain(f"{packets}{dropped}" + ("; is the port right?" if not done.packets else ""))
    if signal.SIGINT in interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def _nobody(output: Path, how: str) -> str:
    from spicereplay.tap.sniffing import SUFFIXES, chosen_program

    if (other := chosen_program()) is not None:
        name = f"{output.stem}{SUFFIXES[other]}"
        return f"{other} is what is installed, and it writes no {output.suffix}: name the file {name}"
    return (
        "nothing that can record is installed: install tcpdump, or dumpcap (wireshark-common); "
        f"on another machine: sudo {how}"
    )
