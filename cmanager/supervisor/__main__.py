"""`python -m cmanager.supervisor`: how a process that must not fork starts a supervisor; not for people."""

import sys

from .launch import executed

executed(sys.argv[1:])
