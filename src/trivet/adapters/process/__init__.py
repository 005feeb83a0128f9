"""Jobs and warm workers as processes of this machine.

Supplied by the operating system, and by `uv` where a step asks for an environment of its own.
What leaves: `ProcessRunner` and `ProcessPool`, for the ports `Runner` and `Workers` of `core`.
"""
