"""Every fixture has a row in its README, with the right size and checksum."""

import hashlib
import re
from pathlib import Path

ROW = re.compile(r"^\| (\S+) \| (\d+) \| (.+) \| ([0-9a-f]{16}) \|$")


def rows(fixtures: Path) -> dict[str, tuple[int, str]]:
    matches = (ROW.match(line) for line in (fixtures / "README.md").read_text().splitlines())
    return {m[1]: (int(m[2]), m[4]) for m in matches if m}


def test_readme_lists_exactly_the_files_there(fixtures: Path) -> None:
    there = {str(f.relative_to(fixtures)) for f in fixtures.rglob("*") if f.is_file()} - {"README.md"}
    assert there == set(rows(fixtures))


def test_sizes_and_checksums_hold(fixtures: Path) -> None:
    for name, (size, check) in rows(fixtures).items():
        data = (fixtures / name).read_bytes()
        assert (name, len(data), hashlib.sha256(data).hexdigest()[:16]) == (name, size, check)


def test_all_of_it_stays_under_twenty_megabytes(fixtures: Path) -> None:
    assert sum(f.stat().st_size for f in fixtures.rglob("*") if f.is_file()) < 20_000_000
