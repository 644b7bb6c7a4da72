"""Cgroups of containers on cgroupfs, v1, v2 and hybrid alike.

Part of the author API, for limiters: `tree.Tree` makes, counts, freezes, kills and removes one cgroup per container; a
limiter writes its limits there. files.py: reading and writing; v1.py, v2.py: how the versions differ; usage.py: which
counter is in which file; bpf.py: device rules on v2; killing.py: everything in a cgroup; places.py: who lies below
another parent; rules.py, counters.py: values.
"""
