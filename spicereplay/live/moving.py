"""Seamless migration: whether a target can take over the channels' state, and a channel that goes on there.

Source: spice-gtk src/channel-main.c, main_migrate_handshake_done, and src/spice-channel.c, spice_channel_swap.
"""

from __future__ import annotations

import asyncio

from spicereplay.client.channel import ChannelClient
from spicereplay.client.main import MainClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.errors import ConnectionFailed, Unreachable
from spicereplay.live.connection import Connection
from spicereplay.live.dial import Manner


async def can_take_over(
    main: Connection,
    source_version: int,
    options: ClientOptions,
    manner: Manner,
    now_ns: int,
) -> bool:
    """Ask a target whose main channel is linked whether it can take over the channels' state.

    A target that does not answer in time cannot. Raises a `ConnectionFailed` where it closes the connection.
    """
    asking = MainClient(main.channel, main.channel_id, options, Shared())
    main.begin(asking, now_ns)
    try:
        if not asking.ask_seamless(source_version, now_ns):
            return False
        async with asyncio.timeout(manner.step_s):
            if not await main.listen(lambda: asking.seamless_answer is not None):
                raise Unreachable(f"{main.wire.place}: the target closed the connection")
    except TimeoutError:
        return False
    except OSError as error:
        raise ConnectionFailed(f"{main.wire.place}: {error.strerror or error}") from None
    finally:
        main.client = None
    return asking.seamless_answer is True


def go_on(client: ChannelClient, source: Connection, target: Connection, now_ns: int) -> None:
    """Let a channel that is moving go on at the target, as the channel it was."""
    assert target.link is not None, "the channel is linked"
    client.continue_on(target.link, now_ns)
    source.client = None
    target.client = client
    target.take_over(source, now_ns)
