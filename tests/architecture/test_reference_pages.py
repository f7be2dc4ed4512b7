"""The generated pages of the documentation are up to date."""

import subprocess
import sys
from pathlib import Path


def test_reference_pages_follow_the_code() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
