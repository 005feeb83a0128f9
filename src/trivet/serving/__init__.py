"""Serving: answers requests by the current release, and logs every prediction.

Supplied by `releases`, `models` and `http`. What leaves are prediction records that name their
release, and the true values (labels) that arrive later.
"""
