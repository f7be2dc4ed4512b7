"""Whether a redacted recording still shows what the original does: its tables, its findings, its verdict.

Both are analysed, decode times taken with a watch that ticks once at every look, and compared table by table.
`CONTENT` names every column that may differ because it tells contents or names, `AS_SESSIONS` the tables that tell how
a connection travelled where the sessions had to be written in the clear; where that lost bytes, what tells that may
differ, too.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.timeline import Tables
from spicereplay.limits import Limits
from spicereplay.redact.pseudonyms import Pseudonyms
from spicereplay.replay import Replay
from spicereplay.units import NS_PER_US

if TYPE_CHECKING:
    import pandas as pd

CONTENT: Final[dict[str, frozenset[str]]] = {
    "inputs": frozenset({"key"}),
    "sound_runs": frozenset({"peak"}),
    "images": frozenset({"decode_ms"}),
    "notifications": frozenset({"message"}),
    "client_reported": frozenset({"value"}),
    "disagreements": frozenset({"client_reported"}),
    "defects": frozenset({"detail", "where", "position"}),
}
"""Columns that may differ, by table: what was typed, how loud it was, how long this machine took, and texts in which
names, addresses or bytes may stand."""

OF_THE_FILE: Final = frozenset(
    {
        "file_truncated",
        "file_damaged",
        "packet_cut",
        "packet_malformed",
        "packet_unsupported",
        "over_limit",
        "zip_damaged",
        "zip_limit",
        "zip_member_name",
        "member_not_json",
        "key_log",
    }
)
"""Kinds of defects of the file itself and of packets that are not there any more. The finding `malformed_input`, which
only counts defects, is about them, too."""
OF_CONTENTS: Final = frozenset({"codec_data", "codec_data_short", "codec_unsupported"})
"""Kinds of defects that say why a picture cannot be decoded. Whether it can be is in the table `images`."""

AS_SESSIONS: Final = frozenset({"tcp", "tcp_events", "tcp_stalls"})
"""Tables about segments and handshakes of a connection that was written anew."""
_AS_SESSIONS_COLUMNS: Final[dict[str, frozenset[str]]] = {
    # A channel ends with its last message then, not with the last segment.
    "display_silence": frozenset({"end_s", "duration_s"}),
    "channels": frozenset({"end_s", "closed_by"}),
}
_WITH_GAPS: Final = frozenset({"defects", "gaps"})
_WITH_GAPS_COLUMNS: Final = frozenset(
    {"start_s", "bytes_from_server", "bytes_from_client", "unparsed_bytes", "gaps", "missing_bytes"}
)
"""What tells, of such a connection, how much of it was lost on the way: other bytes than SPICE's."""
_TIME_DIGITS: Final = 6


def analysed(found: Replay, limits: Limits) -> Tables:
    """Return the tables of an input as they are compared."""
    return Tables(found, limits=limits, stopwatch=count(0, NS_PER_US).__next__)


def differences(before: Tables, after: Tables, names: Pseudonyms, *, as_sessions: bool) -> list[str]:
    """Return what differs between two recordings that must show the same, in words; nothing where they do."""
    found: list[str] = []
    lossy = as_sessions and len(before["gaps"]) > 0
    for name in before:
        if name == "findings" or (as_sessions and name in AS_SESSIONS) or (lossy and name in _WITH_GAPS):
            continue
        old, new = before[name], after[name]
        if name == "defects":
            old, new = _of_messages(old), _of_messages(new)
        if len(old) != len(new):
            found.append(f"table {name} has {len(new):,} rows, {len(old):,} before")
            continue
        free = CONTENT.get(name, frozenset())
        if as_sessions:
            free |= _AS_SESSIONS_COLUMNS.get(name, frozenset())
        if lossy and name == "channels":
            free |= _WITH_GAPS_COLUMNS
        found += [
            f"table {name}: {different:,} values of {column} differ"
            for column in old.columns
            if column not in free and (different := _different(old[column], new[column]))
        ]
    return found + _other_findings(before, after, names, as_sessions=as_sessions)


def _of_messages(defects: pd.DataFrame) -> pd.DataFrame:
    """Return the defects of what the connections said, by time and kind."""
    found = defects[~defects["kind"].isin(OF_THE_FILE | OF_CONTENTS)]
    return found.assign(kind=found["kind"].astype(str)).sort_values(["time_s", "kind"], kind="stable")


def _different(old: pd.Series, new: pd.Series) -> int:
    """Return how many values of a column differ; nothing is like nothing, times count to the microsecond."""
    import pandas as pd

    if old.dtype.kind == "f" and new.dtype.kind == "f":
        a, b = old.round(_TIME_DIGITS).to_numpy(), new.round(_TIME_DIGITS).to_numpy()
        return int(((a != b) & ~(pd.isna(a) & pd.isna(b))).sum())
    return sum(a != b for a, b in zip(map(str, old.tolist()), map(str, new.tolist()), strict=True))


_OF_THE_WAY: Final = ("tcp_", "tls_", "network_", "retransmi", "packet_", "capture_")
"""Beginnings of the codes of findings about how a connection travelled."""
_RULES: Final = "malformed_input"


def gone_with_the_way(before: Tables, after: Tables) -> list[str]:
    """Return the codes of findings that only the first of two recordings has, as sessions travelled another way."""
    kept = set(after["findings"]["code"])
    codes = dict.fromkeys(code for code in before["findings"]["code"] if code not in kept)
    return [code for code in codes if code.startswith((*_OF_THE_WAY, _RULES))]


def healed(before: Tables, after: Tables) -> list[str]:
    """Return the kinds of defects of the file and its packets that only the first of two recordings has."""
    kinds = [set(tables["defects"]["kind"].astype(str)) for tables in (before, after)]
    return sorted((kinds[0] - kinds[1]) & OF_THE_FILE)


def _other_findings(before: Tables, after: Tables, names: Pseudonyms, *, as_sessions: bool) -> list[str]:
    """Compare verdict and findings; names in them are compared under their pseudonyms."""
    found: list[str] = []
    lists = [table["findings"] for table in (before, after)]
    # Broken rules are compared one by one, as defects.
    lists = [each[each["code"] != _RULES] for each in lists]
    codes = [list(zip(each["code"], each["severity"], strict=True)) for each in lists]
    alike = codes[0] == codes[1]
    if as_sessions and not alike:
        codes = [[c for c in each if not c[0].startswith(_OF_THE_WAY)] for each in codes]
    if codes[0] != codes[1]:
        gone = [code for code, _ in codes[0] if code not in {c for c, _ in codes[1]}]
        new = [code for code, _ in codes[1] if code not in {c for c, _ in codes[0]}]
        found.append(f"findings differ: {', '.join(gone) or 'none'} gone, {', '.join(new) or 'none'} new")
    elif alike:
        titles = [[names.cleaned(str(title)) for title in each["title"]] for each in lists]
        found += [f"a finding says {b!r}, {a!r} before" for a, b in zip(*titles, strict=True) if a != b]
    if alike and not found:
        verdicts = [names.cleaned(str(tables.verdict)) for tables in (before, after)]
        if verdicts[0] != verdicts[1]:
            found.append(f"the verdict is {verdicts[1]!r}, {verdicts[0]!r} before")
    return found
