"""The ground floor: errors, identifiers, clocks, facts, ports, gates and lineage.

Supplied by the standard library and msgspec alone. Every room, adapter and face stands on it.
What leaves: the types of `facts`, `ports` and `gates`, and the eight errors.
"""
