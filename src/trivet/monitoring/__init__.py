"""Monitoring: closes windows over predictions and labels, and alerts when quality falls.

Supplied by `serving` and `statistics`. What leaves are windows, and alerts that name what got
worse, since when, by how much, and the likely causes.
"""
