"""cmanager side by side with its peers; `benchmarks/run` is the command, docs/performance.md says how it is used.

place.py       a machine of its own to measure on, and the look at what is left behind
peers/         those that take part, a file each: how each is asked for the same work
commands.py    one command, what it must answer, and how long it takes
measuring.py   interleaved rounds, and the refusal to compare what is not equal
jobs/          what is measured, a file per kind of work
results.py     figures as values: medians, spread, ratios; kept as JSON
goals.py       what must hold
table.py       figures for people; picture.py the same as SVG
"""
