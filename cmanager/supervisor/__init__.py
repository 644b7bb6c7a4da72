"""One small process per container: it mounts, creates, starts, waits, keeps the log, and undoes.

steps.py       the table of what a start makes, each with its undo
launch.py      from the engine's process to the supervisor's: fork, or exec of a sealed interpreter
seal.py        an interpreter that cannot be written to from inside a container
background.py  what a supervisor is before anything else
process.py     what it does, from first to last
book.py        the container's record, which commands change too
life.py        one life of the container: mounted, created, started
restart.py     whether there is another life, and when
health.py      asking the container whether it is well; stopping.py acts on the answer
accounting.py  what it uses, and when it reaches a limit
departure.py   who is told, and what is removed, after the last one
execution.py   the supervisor of one exec
rootfs.py      the root file system, mounted; volumes.py fills and mounts volumes; etc.py hosts, hostname, resolv.conf
stdio.py       the container's streams and whoever is attached
output.py      where what it writes goes; log.py the log and its rotation, sinks/ the other places
attach.py      the client's side, moving.py all of it; terminal.py the client's terminal, keys.py the detach keys
announce.py    events, for the journal and for plugins that listen
"""
