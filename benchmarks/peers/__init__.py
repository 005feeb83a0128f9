"""Other systems that run pipelines, asked to do the same work on the same machine.

One module per system, Trivet among them, each run in a process and an environment of its own
(`driver`); `installing` makes the environments, `talking` asks the processes.
"""
