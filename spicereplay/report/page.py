"""Puts the page together: template, style, scripts, data, and the policy that lets nothing else run.

The page is one file that asks nobody for anything. Three walls stand between the input and the reader's
browser: jinja2 escapes all text, `visible` shows what would hide or reorder text, and the content security
policy runs only scripts and styles whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup, escape

from spicereplay._version import __version__
from spicereplay.errors import OutputExistsError
from spicereplay.report import sections, text
from spicereplay.report.answers import answers, silences
from spicereplay.report.looks import CHANNEL_DASH, CODEC_FILL, CODEC_SHAPE, MARK_SHAPE, codec_look
from spicereplay.report.pictures import pictures
from spicereplay.report.sound import sound
from spicereplay.report.timeline import timeline
from spicereplay.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spicereplay.report.content import ReportContent

UPLOT_VERSION: Final = "1.6.32"

SECTIONS: Final = (
    ("verdict", "Verdict"),
    ("quality", "Capture quality"),
    ("timeline", "Timeline"),
    ("streams", "Streams"),
    ("latency", "Decode latency"),
    ("answers", "Screen and inputs"),
    ("agent", "Guest agent"),
    ("channels", "Channels"),
    ("client", "Client’s report"),
    ("defects", "Defects"),
    ("method", "Method"),
)
"""Sections in their order: anchor and name in the navigation."""
SOUND: Final = ("sound", "Sound and devices")
"""A section before `channels`, where there is something to say."""

_SCRIPTS: Final = ("uPlot.iife.min.js", "page.js", "timeline.js")
_STYLES: Final = ("uPlot.min.css", "page.css")

# An HTML parser ends a script at "</script", begins odd states at "<!--", and JavaScript once ended a line at
# U+2028; as escapes, these characters mean the same to JSON and nothing to HTML.
_JSON_ESCAPES: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def render(content: ReportContent) -> str:
    """Return the whole page as text; the same content gives the same text."""
    found, more_findings = sections.findings(content)
    line = timeline(content)
    shots, more_shots = pictures(content.screenshots)
    heard = sound(content)
    return template("page.html.j2").render(
        content=content,
        version=__version__,
        uplot_version=UPLOT_VERSION,
        policy=policy(_SCRIPTS, _STYLES),
        scripts=[Markup(asset(name)) for name in _SCRIPTS],
        styles=[Markup(asset(name)) for name in _STYLES],
        licence=escape(asset("LICENSE.uPlot")),
        contents=_contents(bool(heard)),
        facts=_facts(content),
        findings=found,
        more_findings=more_findings,
        findings_command=sections.command(content, "findings"),
        gaps=sections.gaps(content),
        unread=sections.unread(content),
        line=line,
        data=Markup(embedded_json(line.data)),
        pictures=shots,
        more_pictures=more_shots,
        streams=sections.streams(content),
        latency=sections.latency(content),
        answers=answers(content),
        silences=silences(content),
        agent=sections.agent(content),
        sound=heard,
        channels=sections.channels(content),
        client=sections.client(content),
        defects=sections.defects(content),
    )


def _contents(with_sound: bool) -> list[tuple[str, str]]:
    place = [anchor for anchor, _ in SECTIONS].index("channels")
    return [*SECTIONS[:place], *((SOUND,) if with_sound else ()), *SECTIONS[place:]]


def write_report(content: ReportContent, path: str | Path, force: bool = False) -> Path:
    """Write the page to `path` and return it.

    Raises `OutputExistsError` when something is there and `force` is false, `OSError` when it cannot be
    written.
    """
    return write_page(render(content), path, force)


def write_page(page: str, path: str | Path, force: bool = False) -> Path:
    """Write a rendered page to `path` and return it; raises as `write_report`."""
    target = Path(path)
    try:
        with target.open("w" if force else "x", encoding="utf-8", newline="\n") as out:
            out.write(page)
    except FileExistsError:
        raise OutputExistsError(f"{target} exists already; --force overwrites it") from None
    return target


def embedded_json(data: Any) -> str:
    """Return `data` as JSON that can stand inside a `<script type="application/json">` element.

    Raises `ValueError` for a number that JSON cannot hold.
    """
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(
        _JSON_ESCAPES
    )


@cache
def asset(name: str) -> str:
    """Return a shipped file; an HTML parser turns CR LF into LF, and hashes are of what it parsed."""
    return (files("spicereplay.report") / "assets" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def policy(scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    """Return the content security policy of a page with these assets and nothing else."""

    def hashes(names: Iterable[str]) -> str:
        digests = (hashlib.sha256(asset(name).encode()).digest() for name in names)
        return " ".join(f"'sha256-{base64.b64encode(d).decode('ascii')}'" for d in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def template(name: str) -> jinja2.Template:
    """Return a shipped template, with the filters and looks that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spicereplay.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every expression of the template passes here, so no text of the input can be forgotten.
        finalize=_shown,
    )
    environment.filters.update(number=text.number, duration=text.duration, look=codec_look)
    environment.globals.update(
        classes={"number": Markup(' class="n"'), "words": Markup(' class="w"'), "word": ""},
        shapes=CODEC_SHAPE,
        fills=CODEC_FILL,
        dashes=CHANNEL_DASH,
        signs=MARK_SHAPE,
    )
    return environment.get_template(name)


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def _facts(content: ReportContent) -> list[tuple[str, str]]:
    """Return what stands under the verdict: which input this is about."""
    table = content.tables["channels"]
    carried = int(table["bytes_from_server"].sum()) + int(table["bytes_from_client"].sum())
    return [
        ("Input", f"{visible(content.source_name, 120)} ({content.source_kind})"),
        ("Starts", text.utc(content.start_time_ns)),
        ("Lasts", text.duration(content.duration_s)),
        ("Sessions", text.number(len(content.sessions) or table["session"].nunique())),
        ("Channels", text.number(len(table))),
        ("Carried", text.size(carried)),
    ]
