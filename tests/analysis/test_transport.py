"""Tables about connections, and bytes over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, ns, session

from spicereplay.analysis.bandwidth import MOST_BINS, bandwidth, bin_width_ns
from spicereplay.analysis.transport import channels, defects, gaps
from spicereplay.defects import Defect, DefectKind
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.session.log import Gap, GapCause

HOLES = [
    Gap(Side.SERVER, ns(4), 900, None, GapCause.SILENT),
    Gap(Side.SERVER, ns(2), 500, 100, GapCause.SEGMENT_OVER_SNAPLEN, messages=1),
]


def test_a_channel_in_one_row():
    log = channel(ChannelType.DISPLAY, [Said(1, 8), Said(1, 105, sub=True)], [Said(2, 2)], gaps=HOLES)
    log.bytes_from = {Side.SERVER: 1000}
    log.unparsed_bytes = 7
    row = channels([session(log)], ORIGIN_NS).iloc[0]
    assert (row.messages_from_server, row.messages_from_client) == (1, 1)
    assert (row.bytes_from_server, row.bytes_from_client) == (1000, 0)
    assert (row.gaps, row.missing_bytes, row.unparsed_bytes, row.closed_by) == (2, 100, 7, "")


def test_holes_in_order_of_time_with_what_is_known_of_them():
    frame = gaps([session(channel(ChannelType.DISPLAY, gaps=HOLES))], ORIGIN_NS)
    assert frame["time_s"].tolist() == [2.0, 4.0]
    assert frame["bytes"].isna().tolist() == [False, True]
    assert frame["cause"].tolist() == ["segment_over_snaplen", "silent"]


def test_defects_keep_their_text_as_it_is():
    found = [
        Defect(DefectKind.CODEC_DATA, "here", "<script>", ns(1), 5),
        Defect(DefectKind.CODEC_DATA, "there", "x"),
    ]
    frame = defects(found, ORIGIN_NS)
    assert frame["detail"].tolist() == ["<script>", "x"]
    assert frame["time_s"].tolist()[0] == 1.0
    assert np.isnan(frame["time_s"].tolist()[1])
    assert frame["position"].isna().tolist() == [False, True]


def test_bytes_fall_into_the_bin_in_which_they_were_complete():
    said = [
        Said(0.01, 304, bytes(94)),
        Said(0.05, 304, bytes(44)),
        Said(0.05, 105, bytes(9), sub=True),
        Said(0.31, 4),
    ]
    frame = bandwidth([session(channel(ChannelType.DISPLAY, said))], ORIGIN_NS, ns(1))
    assert frame["time_s"].tolist() == pytest.approx([0.0, 0.3])
    assert frame["bytes"].tolist() == [150, 6]
    assert frame["messages"].tolist() == [2, 1]
    assert set(frame["width_s"]) == {0.1}


@given(st.integers(0, 10**18))
def test_there_are_never_too_many_bins(duration):
    assert duration // bin_width_ns(duration) <= MOST_BINS
