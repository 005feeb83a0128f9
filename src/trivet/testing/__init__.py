"""In-memory ports, a contract suite per port, and crash tests, for adapter authors and users.

Supplied by the ground floor, pytest and Hypothesis.
What leaves: `memory_*` stores for unit tests, `contracts.*` to subclass, `crash` sweeps.
"""
