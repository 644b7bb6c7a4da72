"""The same command line as the e2e tests have."""

from ..e2e.conftest import cli, machine, registry

__all__ = ["cli", "machine", "registry"]
