"""Until and search: loops that go on until a gate passes or a budget is spent.

Supplied by steps that keep what was tried. What leaves is a candidate, and why there was no other.
"""
