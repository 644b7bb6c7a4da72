"""The command line: a file per command, each a thin user of the engine."""
