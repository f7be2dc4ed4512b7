"""What live sessions are served."""

from serve.conftest import fixtures_script

__all__ = ["fixtures_script"]
