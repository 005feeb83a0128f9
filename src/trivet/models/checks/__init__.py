"""The standard checks: each turns an exam into a finding with its figure and its sentence.

Supplied by `exam`, which holds the package's answers on held-out rows, and `rules`.
What leaves are plain functions; `checklist` makes a gate of them.
"""
