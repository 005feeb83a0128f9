"""Jobs as child processes of this machine, each in a process group of its own.

Supplied by the operating system alone.
What leaves: `ProcessRunner`, which implements the `Runner` port of `core`.
"""
