"""GLZ images and the dictionary they share."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lz_tokens import glz_header, glz_match, literals

from spicereplay.codecs.glz import (
    GlzReferenceMissing,
    decode_glz,
    decode_zlib_glz,
    inflate_glz,
    parse_glz_header,
)
from spicereplay.codecs.lz import LzType
from spicereplay.codecs.window import GlzWindow
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS

FIRST = bytes.fromhex(
    "20205a4c00010001180000000400000004000000100000000000000000000000000f00010204050608090a0c0d0e10111214"
    "151618191a1c1d1e20212224252628292a2c2d2e30313234353638393a3c3d3e"
)
SECOND = bytes.fromhex(
    "20205a4c000100011800000004000000040000001000000000000000010000000101000102040506e20500010138393a3c3d3e"
)
RAMP = [[4 * k, 4 * k + 1, 4 * k + 2, 255] for k in range(16)]


def plain(image_id: int, *pixels: bytes, head: int = 0, kind: LzType = LzType.RGB32) -> bytes:
    return glz_header(kind, len(pixels), 1, image_id, head) + literals(*pixels)


def test_an_image_copies_from_the_one_before() -> None:
    window = GlzWindow()
    for data in (FIRST, SECOND):
        assert decode_glz(data, window, size=(4, 4)).pixels.reshape(16, 4).tolist() == RAMP
    assert 0 in window
    assert 1 in window


def test_a_missing_image_is_named() -> None:
    window = GlzWindow()
    with pytest.raises(
        GlzReferenceMissing, match="image 1 refers to image 0, which has not been seen"
    ) as caught:
        decode_glz(SECOND, window)
    assert (caught.value.image_id, caught.value.missing_id) == (1, 0)
    assert caught.value.may_come
    assert caught.value.reason == "glz_reference_missing"
    assert len(window) == 0


def test_an_image_can_be_decoded_again_once_the_missing_one_came() -> None:
    window = GlzWindow()
    with pytest.raises(GlzReferenceMissing):
        decode_glz(SECOND, window)
    decode_glz(FIRST, window)
    assert decode_glz(SECOND, window).pixels.reshape(16, 4).tolist() == RAMP


def test_offsets_count_in_the_order_encoded_also_from_a_bottom_up_image() -> None:
    window = GlzWindow()
    up = glz_header(LzType.RGB32, 1, 2, 0, top_down=False) + literals(b"aaa", b"bbb")
    assert decode_glz(up, window).pixels[:, 0, 0].tolist() == [ord("b"), ord("a")]
    copy = glz_header(LzType.RGB32, 1, 1, 1) + glz_match(1, 1, 1, 0)
    assert decode_glz(copy, window).pixels[0, 0, 0] == ord("b")


def test_the_memory_shared_with_the_window_is_read_only() -> None:
    window = GlzWindow()
    shared = decode_glz(FIRST, window).pixels
    with pytest.raises(ValueError, match="read-only"):
        shared[0, 0, 0] = 1
    turned = decode_glz(glz_header(LzType.RGB32, 1, 1, 1, top_down=False) + literals(b"abc"), window).pixels
    turned[0, 0, 0] = 1


def test_the_alpha_pass_copies_from_the_other_images_alpha() -> None:
    window = GlzWindow()
    colours, alphas = literals(b"aaa", b"bbb", b"ccc"), literals(b"\1", b"\2", b"\3")
    decode_glz(glz_header(LzType.RGBA, 3, 1, 0) + colours + alphas, window)
    again = glz_header(LzType.RGBA, 3, 1, 1) + literals(b"xxx", b"yyy", b"zzz") + glz_match(3, 0, 1, 2)
    picture = decode_glz(again, window)
    assert picture.alpha
    assert picture.pixels[0, :, 3].tolist() == [1, 2, 3]
    assert picture.pixels[0, 0, :3].tobytes() == b"xxx"


def test_rgb16_is_widened_and_its_matches_are_one_longer() -> None:
    window = GlzWindow()
    picture = decode_glz(
        glz_header(LzType.RGB16, 3, 1, 0) + literals(b"\x7f\xff") + glz_match(2, 0, 0, 1), window
    )
    assert picture.pixels.tolist() == [[[255] * 4] * 3]


matches = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 1 << 21), st.booleans()), min_size=1, max_size=20
)


@given(matches)
@settings(max_examples=40, deadline=None)
def test_any_matches_give_what_plain_lists_give(wanted: list[tuple[int, int, bool]]) -> None:
    base = np.arange(200_000, dtype=np.uint32)
    window = GlzWindow()
    window.add(0, base | np.uint32(0xFF000000), 0)
    pixels, stream = [7], literals((7).to_bytes(3, "little"))
    for length, offset, other in wanted:
        if other:
            offset %= len(base) - length
            stream += glz_match(length, offset, 300, 0)
            pixels += base[offset : offset + length].tolist()
        else:
            offset %= len(pixels)
            stream += glz_match(length, offset, 0, 0)
            for _ in range(length):
                pixels.append(pixels[-offset - 1])
    picture = decode_glz(glz_header(LzType.RGB32, len(pixels), 1, 300) + stream, window)
    assert (picture.pixels.view("<u4").reshape(-1) & 0xFFFFFF).tolist() == pixels


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "codec_data_short"),
        (literals(b"abc", b"def") + literals(b"a"), "codec_data_short"),
        (literals(*[b"abc"] * 5), "codec_data"),
        (literals(b"abc") + glz_match(4, 0, 0, 0), "codec_data"),
        (literals(b"abc") + glz_match(1, 1, 0, 0), "codec_data"),
        (glz_match(4, 13, 1, 0), "codec_data"),
        (glz_match(1, 0, 6, 0), "codec_data"),
        (glz_match(1, 0, 2, 0), "glz_reference_missing"),
    ],
)
def test_what_is_refused_leaves_the_window_as_it_was(body: bytes, reason: str) -> None:
    window = GlzWindow()
    window.add(4, np.arange(16, dtype=np.uint32), 0)
    with pytest.raises(DecodeError) as caught:
        decode_glz(glz_header(LzType.RGB32, 4, 1, 5) + body, window)
    assert caught.value.reason == reason
    assert len(window) == 1


@pytest.mark.parametrize("kind", [LzType.PLT8, LzType.A8])
def test_types_the_server_never_codes_are_refused(kind: LzType) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_glz(glz_header(kind, 1, 1, 0) + literals(b"a"), GlzWindow())
    assert caught.value.reason == "codec_unsupported"


def test_the_header_can_be_read_alone() -> None:
    header = parse_glz_header(SECOND)
    assert (header.type, header.top_down, header.width, header.height) == (LzType.RGB32, True, 4, 4)
    assert (header.id, header.win_head_dist) == (1, 1)


def test_a_partial_picture_says_which_pixels_are_unknown() -> None:
    window = GlzWindow()
    picture = decode_glz(SECOND, window, partial=True)
    unknown = [False] * 2 + [True] * 12 + [False] * 2
    assert picture.unknown is not None
    assert picture.unknown.reshape(-1).tolist() == unknown
    shown = [[0, 0, 0, 255] if hidden else pixel for hidden, pixel in zip(unknown, RAMP, strict=True)]
    assert picture.pixels.reshape(16, 4).tolist() == shown


def test_unknown_pixels_stay_unknown_in_the_images_that_copy_them() -> None:
    window = GlzWindow()
    decode_glz(SECOND, window, partial=True)
    third = glz_header(LzType.RGB32, 4, 1, 2) + glz_match(4, 0, 1, 0)
    picture = decode_glz(third, window, partial=True)
    assert picture.unknown is not None
    assert picture.unknown.tolist() == [[False, False, True, True]]
    fourth = glz_header(LzType.RGB32, 2, 1, 3) + glz_match(2, 0, 1, 0)
    assert decode_glz(fourth, window, partial=True).unknown is None


def unknown_of(data: bytes, window: GlzWindow) -> list[bool]:
    picture = decode_glz(data, window, partial=True)
    return [] if picture.unknown is None else picture.unknown.reshape(-1).tolist()


def test_with_alpha_a_pixel_is_unknown_if_its_colours_or_its_alpha_are() -> None:
    window = GlzWindow()
    colours = literals(b"abc") + glz_match(1, 0, 2, 0) + literals(b"def", b"ghi", b"jkl", b"mno")
    alphas = literals(b"\1", b"\2", b"\3") + glz_match(3, 0, 2, 2)
    picture = decode_glz(glz_header(LzType.RGBA, 6, 1, 2) + colours + alphas, window, partial=True)
    assert picture.unknown is not None
    assert picture.unknown.tolist() == [[False, True, False, True, True, True]]
    assert picture.pixels[0, :, 3].tolist() == [1, 2, 3, 0, 0, 0]
    assert picture.pixels[0, 1].tolist() == [0, 0, 0, 2]
    assert picture.pixels[0, 3, :3].tobytes() == b"ghi"


def test_colours_are_known_although_the_alpha_beside_them_is_not() -> None:
    window = GlzWindow()
    colours = literals(b"abc", b"def", b"ghi") + glz_match(1, 0, 2, 0)
    alphas = glz_match(3, 0, 2, 2) + literals(b"\7")
    assert unknown_of(glz_header(LzType.RGBA, 4, 1, 2) + colours + alphas, window) == [True] * 4
    copied = glz_header(LzType.RGB32, 4, 1, 3, 1) + glz_match(4, 0, 1, 0)
    assert unknown_of(copied, window) == [False, False, False, True]
    masked = (
        glz_header(LzType.RGBA, 4, 1, 4) + literals(b"xxx", b"yyy", b"zzz", b"www") + glz_match(4, 0, 2, 2)
    )
    assert unknown_of(masked, window) == [True, True, True, False]


def test_unknown_pixels_spread_within_an_image() -> None:
    window = GlzWindow()
    colours = literals(b"abc") + glz_match(1, 0, 1, 0) + glz_match(4, 1, 0, 0)
    alphas = literals(b"\1", b"\1", b"\1") + glz_match(3, 0, 0, 2)
    assert unknown_of(glz_header(LzType.RGBA, 6, 1, 1) + colours + alphas, window) == [False, True] * 3
    alphas = glz_match(3, 0, 2, 2) + literals(b"\1") + glz_match(4, 1, 0, 2)
    wanted = [True, True, True, False, True, False, True, False]
    assert unknown_of(glz_header(LzType.XXXA, 8, 1, 2) + alphas, window) == wanted


def test_the_rows_of_a_bottom_up_mask_are_turned_too() -> None:
    data = glz_header(LzType.RGBA, 1, 2, 1, top_down=False) + literals(b"abc") + glz_match(1, 0, 1, 0)
    assert unknown_of(data + literals(b"\1", b"\1"), GlzWindow()) == [True, False]


def test_marks_count_in_the_windows_bytes_and_leave_with_their_image() -> None:
    window = GlzWindow()
    decode_glz(glz_header(LzType.RGB32, 4, 1, 1) + glz_match(4, 0, 1, 0), window, partial=True)
    assert (window.held_bytes, window.partial_ids) == (20, {1})
    decode_glz(plain(1, b"abc"), window, partial=True)
    assert (window.held_bytes, window.partial_ids) == (4, set())


partial_tokens = st.lists(
    st.tuples(st.sampled_from(("new", "back", "lost", "held")), st.integers(3, 20), st.integers(0, 30)),
    min_size=1,
    max_size=15,
)


@given(partial_tokens, partial_tokens)
@settings(max_examples=60, deadline=None)
def test_marks_follow_every_copy(
    colours: list[tuple[str, int, int]], alphas: list[tuple[str, int, int]]
) -> None:
    """Against plain lists; image 5 is held, half of its colours and a third of its alphas unknown."""
    first = glz_header(LzType.RGBA, 60, 1, 5)
    first += literals(*[b"abc"] * 30) + glz_match(30, 0, 4, 0)
    first += literals(*[b"\1"] * 20) + glz_match(20, 0, 4, 2) + literals(*[b"\2"] * 20)
    held = [[k >= 30 for k in range(60)], [20 <= k < 40 for k in range(60)]]
    size = max(sum(token[1] for token in tokens) for tokens in (colours, alphas))
    stream, marks = glz_header(LzType.RGBA, size, 1, 6), []
    for tokens, before, unit, bias in ((colours, held[0], b"xyz", 0), (alphas, held[1], b"\3", 2)):
        known: list[bool] = []
        for what, length, offset in [*tokens, ("new", size - sum(t[1] for t in tokens), 0)]:
            if what == "new" or (what == "back" and not known):
                for at in range(0, length, 32):
                    stream += literals(*[unit] * min(32, length - at))
                known += [False] * length
            elif what == "back":
                offset %= len(known)
                stream += glz_match(length, offset, 0, bias)
                for _ in range(length):
                    known.append(known[-offset - 1])
            else:
                stream += glz_match(length, offset, 1 if what == "held" else 3, bias)
                known += before[offset : offset + length] if what == "held" else [True] * length
        marks.append(known)
    window = GlzWindow()
    assert unknown_of(first, window) == [a or b for a, b in zip(*held, strict=True)]
    wanted = [a or b for a, b in zip(*marks, strict=True)]
    assert (unknown_of(stream, window) or [False] * size) == wanted


def test_zlib_around_glz() -> None:
    window = GlzWindow()
    picture = decode_zlib_glz(zlib.compress(FIRST), len(FIRST), window)
    assert picture.pixels.reshape(16, 4).tolist() == RAMP


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (zlib.compress(FIRST)[:-20], len(FIRST), "codec_data_short"),
        (zlib.compress(FIRST), len(FIRST) + 1, "codec_data_short"),
        (zlib.compress(FIRST), len(FIRST) - 1, "codec_data"),
        (b"not zlib at all", 10, "codec_data"),
        (zlib.compress(bytes(1 << 20)), 1 << 40, "over_limit"),
    ],
)
def test_what_does_not_inflate_as_promised_is_refused(data: bytes, size: int, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        inflate_glz(data, size)
    assert caught.value.reason == reason


def test_a_zlib_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(64 << 20))
    with pytest.raises(DecodeError, match="more than the 100 bytes"):
        inflate_glz(bomb, 100)


# --- the window -----------------------------------------------------------------------------------


def words(count: int = 1) -> np.ndarray:
    return np.zeros(count, np.uint32)


def held(window: GlzWindow) -> list[int]:
    return [i for i in range(2000) if i in window]


def test_images_before_the_window_head_are_dropped() -> None:
    window = GlzWindow()
    for image_id, head in ((0, 0), (1, 1), (2, 1), (3, 1)):
        window.add(image_id, words(), head)
    assert held(window) == [2, 3]
    assert window.oldest == 2
    assert window.evicted == 0


def test_nothing_is_dropped_while_an_earlier_image_is_awaited() -> None:
    window = GlzWindow()
    window.add(0, words(), 0)
    window.add(2, words(), 0)
    assert held(window) == [0, 2]
    assert window.may_come(1)
    window.add(1, words(), 0)
    assert held(window) == [2]
    assert not window.may_come(1)


def test_a_gap_can_be_given_up() -> None:
    window = GlzWindow()
    window.add(0, words(), 0)
    window.add(2, words(), 0)
    window.close_gaps(2)
    assert held(window) == [2]
    assert not window.may_come(1)
    assert window.may_come(3)


def test_a_window_can_begin_in_the_middle() -> None:
    window = GlzWindow()
    window.add(1000, words(), 2)
    window.add(999, words(), 2)
    window.add(1001, words(), 1)
    assert held(window) == [1000, 1001]


def test_over_the_byte_limit_the_lowest_ids_go_and_are_counted() -> None:
    window = GlzWindow(replace(DEFAULT_LIMITS, glz_window_bytes=48))
    for image_id in range(5):
        window.add(image_id, words(4), image_id)
    assert held(window) == [2, 3, 4]
    assert (window.held_bytes, window.evicted, window.evicted_bytes) == (48, 2, 32)
    with pytest.raises(GlzReferenceMissing, match="no longer held") as caught:
        decode_glz(glz_header(LzType.RGB32, 1, 1, 5, 5) + glz_match(1, 0, 4, 0), window)
    assert not caught.value.may_come


def test_an_image_larger_than_the_window_is_not_kept() -> None:
    window = GlzWindow(replace(DEFAULT_LIMITS, glz_window_bytes=16))
    window.add(0, words(5), 0)
    assert (len(window), window.held_bytes, window.evicted) == (0, 0, 1)


def test_ids_too_far_apart_are_bounded() -> None:
    window = GlzWindow(replace(DEFAULT_LIMITS, glz_window_images=100))
    window.add(0, words(), 0)
    window.add(1 << 60, words(), 5)
    assert 0 not in window
    assert (1 << 60) in window
    assert len(window.ids) <= 128


def test_the_ring_grows_with_the_span_of_ids() -> None:
    window = GlzWindow()
    for image_id in range(0, 1500, 3):
        decode_glz(plain(image_id, image_id.to_bytes(3, "little"), head=image_id), window)
    copy = glz_header(LzType.RGB32, 1, 1, 1500, 1500) + glz_match(1, 0, 1500 - 333, 0)
    assert decode_glz(copy, window).pixels.view("<u4")[0, 0, 0] & 0xFFFFFF == 333
    assert len(window.ids) == 2048


def test_an_id_seen_twice_holds_the_later_image() -> None:
    window = GlzWindow()
    decode_glz(plain(0, b"abc"), window)
    decode_glz(plain(0, b"xyz"), window)
    copy = glz_header(LzType.RGB32, 1, 1, 1, 1) + glz_match(1, 0, 1, 0)
    assert decode_glz(copy, window).pixels[0, 0, :3].tobytes() == b"xyz"
    assert window.held_bytes == 8


def test_a_cleared_window_begins_anew() -> None:
    window = GlzWindow()
    for image_id in range(5):
        window.add(image_id, words(), 1)
    window.clear()
    assert (len(window), window.held_bytes, window.oldest) == (0, 0, 0)
    decode_glz(FIRST, window)
    assert decode_glz(SECOND, window).pixels.reshape(16, 4).tolist() == RAMP


@given(st.permutations(range(12)), st.lists(st.integers(0, 4), min_size=12, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_order_of_arrival_does_not_change_what_is_held(order: list[int], heads: list[int]) -> None:
    sorted_window, window = GlzWindow(), GlzWindow()
    sorted_window.add(0, words(), 0)
    window.add(0, words(), 0)
    for image_id in range(1, 13):
        sorted_window.add(image_id, words(), heads[image_id - 1])
    for place in order:
        window.add(place + 1, words(), heads[place])
    assert held(window) == held(sorted_window)
    assert window.held_bytes == sorted_window.held_bytes == 4 * len(window)
