"""The main channel: what the guest is called, which channels it has, which clock it keeps, and where it moves to."""

import pytest
from support.conversation import Conversation, S, linked

from spicereplay.client.main import MainClient, Offered
from spicereplay.client.migration import Migration, MigrationKind, MigrationPhase
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, MigrateFlags, MouseMode, ServerCursor
from spicereplay.protocol.messages import common, main
from spicereplay.protocol.messages.main import ChannelId, DstInfo

SERVER = ("SEMI_SEAMLESS_MIGRATE", "NAME_AND_UUID", "AGENT_CONNECTED_TOKENS", "SEAMLESS_MIGRATE")


def session(caps: tuple[str, ...] = SERVER) -> tuple[Conversation, MainClient]:
    talk = Conversation(ChannelType.MAIN, server_caps=caps)
    assert isinstance(talk.client, MainClient)
    return talk, talk.client


def init(supported: int = 3, current: int = 2) -> main.Init:
    return main.Init(77, 1, MouseMode(supported), MouseMode(current), 0, 10, 5000, 0)


def test_channels_are_told_as_they_are_announced() -> None:
    talk, mine = session()
    talk.says(init())
    assert mine.session_id == 77
    assert mine.channels_offered() == []
    display, inputs = ChannelId(ChannelType.DISPLAY, 0), ChannelId(ChannelType.INPUTS, 0)
    talk.says(main.ChannelsList((display, inputs, display)))
    assert mine.channels_offered() == [Offered(ChannelType.DISPLAY, 0), Offered(ChannelType.INPUTS, 0)]
    assert mine.channels_offered() == []
    talk.says(main.ChannelsList((inputs, ChannelId(99, 7))))
    assert mine.channels_offered() == [Offered(99, 7)]
    assert len(mine.offered) == mine.diagnostics().channels_offered == 3


def test_what_is_known_of_the_session() -> None:
    talk, mine = session()
    assert mine.diagnostics().session_id is None
    talk.says(main.Name(b"forty-two\0"), S)
    talk.says(main.Uuid(bytes(range(16))), S)
    talk.says(init(), 2 * S)
    talk.says(main.MultiMediaTime(9000), 3 * S)
    told = mine.diagnostics()
    assert (told.session_id, told.name) == (77, "forty-two")
    assert str(told.uuid) == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert (told.mm_time_ms, told.mm_time_sets, told.mm_time_set_ns) == (9000, 2, 3 * S)
    assert (told.mouse_mode, told.migration, told.agent.connected) == (MouseMode.CLIENT, None, False)


def test_the_pointer_is_asked_for_whenever_it_can_be_had_again() -> None:
    talk, mine = session()
    request = [("MOUSE_MODE_REQUEST", main.MouseModeRequest(MouseMode.CLIENT))]
    assert talk.says(main.MouseModeChange(MouseMode.SERVER, MouseMode.SERVER)) == []
    assert talk.says(main.MouseModeChange(MouseMode(3), MouseMode.SERVER)) == request
    assert talk.says(main.MouseModeChange(MouseMode(3), MouseMode.CLIENT)) == []
    assert mine.shared.mouse_mode == MouseMode.CLIENT


# --- migration -----------------------------------------------------------------------------------------


def test_a_port_that_the_server_does_not_have_is_none() -> None:
    talk, mine = session()
    talk.says(main.MigrateBegin(DstInfo(5900, 0xFFFF, b"far.example\0", None)))
    assert mine.migration is not None
    assert (mine.migration.port, mine.migration.tls_port) == (5900, 0)


TARGET = DstInfo(5900, 5901, b"far.example\0", b"CN=far\0")
SEMI = main.MigrateBegin(TARGET)
SEAMLESS = main.MigrateBeginSeamless(TARGET, 1)


def test_switch_host_is_a_new_session_elsewhere() -> None:
    talk, mine = session()
    assert talk.says(main.MigrateSwitchHost(5900, 0, b"far.example\0", None)) == []
    kind, phase = MigrationKind.SWITCH_HOST, MigrationPhase.ENDED
    assert mine.migration == Migration(kind, phase, "far.example", 5900, 0, "")
    [notice] = talk.notices()
    assert (notice.code, notice.text) == ("migration", "the guest moves to far.example (switch-host)")


def test_semi_seamless_waits_for_the_end_and_begins_anew_at_the_target() -> None:
    talk, mine = session()
    assert talk.says(SEMI) == []
    kind = MigrationKind.SEMI_SEAMLESS
    assert mine.migration == Migration(kind, MigrationPhase.CONNECT, "far.example", 5900, 5901, "CN=far")
    mine.target_connected(seamless=True, now_ns=S)
    assert talk.taken() == [("MIGRATE_CONNECTED", main.MigrateConnected())]
    assert (mine.migration.kind, mine.migration.phase) == (kind, MigrationPhase.CONNECTED)
    assert not mine.shared.seamless
    talk.says(main.MigrateEnd())
    assert mine.migration.phase is MigrationPhase.ENDED

    there, target = session()
    assert there.began == []
    target.take_over(2 * S)
    assert there.taken() == [("MIGRATE_END", main.ClientMigrateEnd())]
    assert not target.initialised
    assert there.says(init()) == []
    assert target.initialised


def test_seamless_asks_the_target_first() -> None:
    talk, mine = session()
    talk.says(SEAMLESS)
    assert mine.migration is not None
    assert (mine.migration.kind, mine.migration.source_version) == (MigrationKind.SEAMLESS, 1)
    there, target = session()
    assert target.ask_seamless(1, S)
    assert there.taken() == [("MIGRATE_DST_DO_SEAMLESS", main.MigrateDstDoSeamless(1))]
    assert target.seamless_answer is None
    there.says(main.MigrateDstSeamlessAck())
    assert target.seamless_answer is True
    mine.target_connected(seamless=True, now_ns=S)
    assert talk.taken() == [("MIGRATE_CONNECTED_SEAMLESS", main.MigrateConnectedSeamless())]
    assert mine.shared.seamless
    mine.migration_done()
    assert (mine.migration, mine.shared.seamless) == (None, False)


@pytest.mark.parametrize("asks", [True, False])
def test_a_target_that_cannot_take_over_makes_it_semi_seamless(asks: bool) -> None:
    there, target = session(SERVER if asks else SERVER[:1])
    assert target.ask_seamless(1, S) is asks
    if asks:
        there.says(main.MigrateDstSeamlessNack())
    assert target.seamless_answer is False
    talk, mine = session()
    talk.says(SEAMLESS)
    mine.target_connected(seamless=False, now_ns=S)
    assert talk.taken() == [("MIGRATE_CONNECTED", main.MigrateConnected())]
    assert mine.migration is not None
    assert mine.migration.kind is MigrationKind.SEMI_SEAMLESS


def test_a_target_that_cannot_be_reached() -> None:
    talk, mine = session()
    talk.says(SEMI)
    mine.target_failed(S)
    assert talk.taken() == [("MIGRATE_CONNECT_ERROR", main.MigrateConnectError())]
    assert mine.migration is None
    mine.target_failed(S)
    assert talk.taken() == []


def test_a_migration_that_is_cancelled() -> None:
    talk, mine = session()
    talk.says(SEAMLESS)
    mine.target_connected(seamless=True, now_ns=S)
    talk.taken()
    talk.says(main.MigrateCancel())
    assert (mine.migration, mine.shared.seamless) == (None, False)
    mine.target_connected(seamless=True, now_ns=S)
    assert talk.taken() == []
    assert talk.says(main.MigrateEnd()) == []
    assert mine.migration is None


def test_a_target_without_a_name_is_none() -> None:
    talk, mine = session()
    assert talk.says(main.MigrateBegin(DstInfo(1, 2, b"\0", None))) == [
        ("MIGRATE_CONNECT_ERROR", main.MigrateConnectError())
    ]
    assert mine.migration is None
    assert talk.told() == [("WARN", "migration")]


FLUSH, DATA = MigrateFlags.NEED_FLUSH, MigrateFlags.NEED_DATA_TRANSFER


def test_a_channel_that_moves_takes_its_state_along() -> None:
    talk = Conversation(ChannelType.CURSOR, shared=Shared(seamless=True))
    mine = talk.client
    talk.says(common.SetAck(1, 3))
    assert talk.says(common.Migrate(FLUSH | DATA)) == [("MIGRATE_FLUSH_MARK", common.MigrateFlushMark())]
    assert mine.moving is not None
    assert mine.moving.waits_for_data
    # What has to be said meanwhile is for the target.
    assert talk.says(common.Ping(4, 5)) == []
    assert talk.says(common.MigrateData(b"state")) == []
    assert not mine.moving.waits_for_data
    mine.continue_on(linked(ChannelType.CURSOR), S)
    assert mine.moving is None
    assert talk.taken() == [
        ("MIGRATE_DATA", common.MigrateData(b"state")),
        ("PONG", common.Pong(4, 5)),
        ("ACK", common.Ack()),
    ]
    # The window goes on at the target.
    assert [talk.says(type=ServerCursor.HIDE) for _ in range(3)] == [[], [], [("ACK", common.Ack())]]


def test_a_channel_without_state_moves_at_once() -> None:
    talk = Conversation(ChannelType.INPUTS, shared=Shared(seamless=True))
    assert talk.says(common.Migrate(FLUSH)) == [("MIGRATE_FLUSH_MARK", common.MigrateFlushMark())]
    assert talk.client.moving is not None
    assert not talk.client.moving.waits_for_data
    talk.client.continue_on(linked(ChannelType.INPUTS), S)
    assert talk.taken() == []


def test_a_channel_does_not_move_where_nobody_is_there_to_take_it() -> None:
    talk = Conversation(ChannelType.CURSOR)
    assert talk.says(common.Migrate(FLUSH | DATA)) == [("MIGRATE_FLUSH_MARK", common.MigrateFlushMark())]
    assert talk.says(common.MigrateData(b"state")) == []
    assert talk.client.moving is None
    assert talk.says(common.Ping(1, 2)) == [("PONG", common.Pong(1, 2))]


def test_a_server_that_never_lets_a_channel_move_fills_nothing() -> None:
    talk = Conversation(ChannelType.CURSOR, shared=Shared(seamless=True))
    talk.says(common.Migrate(DATA))
    for i in range(3000):
        talk.says(common.Ping(i, 0))
    talk.client.continue_on(linked(ChannelType.CURSOR), S)
    assert len(talk.taken()) == 1024


def test_a_server_that_pings_and_then_says_nothing_is_taken_for_dead() -> None:
    talk, mine = session()
    talk.says(init())
    talk.says(common.Ping(1, 0), S)
    talk.says(main.MultiMediaTime(9000), 20 * S)
    talk.waits(109 * S)
    assert not mine.silent
    talk.waits(110 * S)
    assert mine.silent
    assert mine.diagnostics().silent
    (notice,) = (one for one in mine.notices() if one.code == "server_silent")
    assert (notice.severity.name, notice.text) == ("ERROR", "the server has said nothing for 90 s")
    assert mine.deadline() is None


def test_the_silence_of_a_server_that_never_pinged_means_nothing() -> None:
    talk, mine = session()
    talk.says(init())
    talk.waits(10_000 * S)
    assert not mine.silent


def test_what_the_server_says_is_told_with_its_channel() -> None:
    talk, mine = session()
    talk.says(common.Notify(0, 1, 2, 42, b"keyboard channel is insecure"))
    (notice,) = mine.notices()
    assert (notice.source, notice.channel, notice.channel_id, notice.what) == ("server", "main", 0, 42)
