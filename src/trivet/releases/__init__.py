"""Releases: decisions to serve, from shadow through canary to full, and back.

Supplied by `models` and `statistics`. What leaves is a release: an immutable plan of variants and
shares that serving executes, under a head that moves by compare-and-set.
"""
