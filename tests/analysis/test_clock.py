"""Three clocks and the mappings between them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, ns, session

from spicereplay.analysis.clock import ClientMediaClock, client_media_clock, server_clock, signed_ms
from spicereplay.protocol.enums import ChannelType, ServerMain


def array(*values, dtype=np.int64):
    return np.array(values, dtype)


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_wrapped_difference_comes_back_signed(start, step):
    later = (start + step) % 2**32
    assert signed_ms(np.array([later - start]))[0] == step


def test_the_best_ping_gives_the_offset_and_an_ordinary_one_the_spread():
    clock = server_clock(array(1_000_500, 2_000_200, 3_000_900), array(500, 1_000_000, 2_000_300))
    assert (clock.offset_ns, clock.spread_ns) == (1_000_000, 200)


def test_no_pings_no_clock():
    assert server_clock(array(), array()) is None


def test_the_lag_of_a_frame_over_the_wrap():
    clock = server_clock(array(ns(0)), array(4_294_967_000_000_000))  # 296 ms before the wrap
    lag = clock.lag_ms(array(ns(0.5)), array(4, dtype=np.uint32))
    assert lag[0] == pytest.approx(200.0, abs=1e-3)


def test_margins_follow_what_the_server_set_last():
    main = channel(
        ChannelType.MAIN,
        server=[
            Said(1, ServerMain.INIT, struct.pack("<8I", 1, 1, 3, 1, 0, 10, 1000, 0)),
            Said(3, ServerMain.MULTI_MEDIA_TIME, struct.pack("<I", 2500)),
        ],
    )
    clock = client_media_clock(session(main))
    times = array(ns(0.5), ns(1.1), ns(3.1))
    margins = clock.margin_ms(times, array(1400, 1400, 2500, dtype=np.uint32))
    assert np.isnan(margins[0])
    assert margins[1:].tolist() == pytest.approx([300.0, -100.0])


def test_a_clock_that_nobody_set_knows_nothing():
    clock = ClientMediaClock(array(), array(dtype=np.uint32))
    assert np.isnan(clock.margin_ms(array(ORIGIN_NS), array(5, dtype=np.uint32))).all()
