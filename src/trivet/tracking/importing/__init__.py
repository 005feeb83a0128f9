"""Importing: experiments, runs, points and logged models of other stores, as if they were ours.

Supplied by `core` and `reporting`. What leaves are facts and documents that searches find alike.
"""
