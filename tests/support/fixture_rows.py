"""Brings the sizes and checksums in `fixtures/README.md` up to date for the golden manifests.

    PYTHONPATH=tests python -m support.fixture_rows

Run it after `spicereplay golden record`. Captures do not change, so their rows are left alone.
"""

import hashlib
import re
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures"
SECTION = "## Golden manifests\n"
ROW = re.compile(r"^\| \S+\.golden \| .*\n", re.MULTILINE)


def row(manifest: Path) -> str:
    data = manifest.read_bytes()
    check = hashlib.sha256(data).hexdigest()[:16]
    pictures = sum(line.split(b" ", 1)[0].isalpha() and b"x" in line for line in data.split(b"\n")[4:])
    what = f"what {manifest.name.removesuffix('.golden')} must show" if pictures else "no pictures in it"
    return f"| {manifest.relative_to(FIXTURES)} | {len(data)} | {what} | {check} |\n"


def main() -> None:
    readme = FIXTURES / "README.md"
    text = readme.read_text()
    before, _, after = text.partition(SECTION)
    head, _, _ = after.partition("|---|---|---|---|\n")
    rest = ROW.sub("", after.removeprefix(head + "|---|---|---|---|\n"))
    rows = "".join(row(manifest) for manifest in sorted(FIXTURES.rglob("*.golden")))
    readme.write_text(before + SECTION + head + "|---|---|---|---|\n" + rows + rest)


if __name__ == "__main__":
    main()
