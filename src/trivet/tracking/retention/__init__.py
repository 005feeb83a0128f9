"""Retention: for how long deleted runs, artifacts and traces are kept, and what was removed.

Supplied by `core` and the experiments that rules are about. What leaves is the rule in force.
"""
