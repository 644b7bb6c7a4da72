"""A program that uses cmanager's Python API: a container for each line that it reads, the seconds that took for each.

Usage: engine.py ROOT RUN_ROOT CONFIG; a line is the name of a network. Started by jobs/api.py.
"""

from __future__ import annotations

import os
import sys
import time

from cmanager import Engine
from cmanager.model import RunRequest


def main() -> None:
    root, run_root, config = sys.argv[1:]
    engine = Engine(root, run_root, config)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for line in sys.stdin:
        request = RunRequest("busybox", command=("/bin/true",), network=line.strip(), remove=True)
        began = time.perf_counter()
        session = engine.run(request, attached=True)
        code = session.pump(-1, nowhere, nowhere)  # type: ignore[union-attr] # attached: a session
        took = time.perf_counter() - began
        print(took if code == 0 else f"exited with {code}", flush=True)


if __name__ == "__main__":
    main()
