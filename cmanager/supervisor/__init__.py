"""One small process per container: it mounts, creates, starts, waits, keeps the log, and undoes.

steps.py    the table of what a start makes, each with its undo
etc.py      hosts, hostname and resolv.conf
announce.py events, for the journal and for plugins that listen
launch.py   from the engine's process to the supervisor's: fork, or exec of a sealed interpreter
seal.py     an interpreter that cannot be written to from inside a container
process.py  what the supervisor does, from first to last
stdio.py    the container's pipes, its log and the client that is attached
log.py      the format of the log
attach.py   the client's side
"""
