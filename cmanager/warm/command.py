"""The program that the launcher `cmanager` runs, `python -I -S command.py NAME [ARGUMENT]...`; see client.py.

It is short because a program, unlike a module, is compiled each time.
"""

import sys

sys.path.insert(0, __file__.rpartition("/cmanager/")[0])

from cmanager.warm.client import main

main(sys.argv[1], sys.argv[2:])
