"""The kernel's interfaces, typed: system calls, mounts, paths inside a root, cgroups, processes and durable files.

Part of the author API: a plugin may use everything here. Nothing in this room knows what a container is.
"""
