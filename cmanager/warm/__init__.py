"""The command server: a process that has everything imported and forks a worker for each command (docs/warm.md).

command.py   the program that the launcher runs; client.py all of it: asks for a worker, or becomes the ordinary command
starting.py  from a client that found no server to a new one
serving.py   from a process to a server; server.py listens, forks, tells of workers that were killed, leaves
preload.py   what it imports beforehand; stamp.py notices when that has changed on disk
worker.py    the worker: becomes the caller and runs the ordinary `main()`
request.py   what a client sends, read by the worker
caller.py    whether a caller is one whom this server can stand in for
become.py    what a worker takes over from the caller; title.py what others see of it
handing.py   the worker's side of a caller at a terminal; pumping.py the client's
status.py    whether it would be used, for `doctor`
"""
