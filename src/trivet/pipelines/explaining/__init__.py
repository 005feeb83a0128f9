"""Why a step is run again, and what its key does not cover.

Supplied by the facts of steps and the sources of runs. What leaves are changes with their diffs.
"""
