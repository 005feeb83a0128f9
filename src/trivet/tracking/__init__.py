"""Tracking: runs with their parameters, metrics, code state, environment and notes.

Supplied by `core` alone. What leaves is a run: the fact from which every model descends.
"""
