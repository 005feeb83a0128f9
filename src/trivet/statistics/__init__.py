"""Intervals, paired comparisons, always-valid tests, change detectors and look budgets.

Supplied by `core.errors` and NumPy; nothing here reads a clock, a file or a store.
What leaves: frozen numbers that gates, canary judges and monitors share, so that they agree.
"""
