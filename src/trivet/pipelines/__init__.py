"""Pipelines: plain functions as steps and flows, run eagerly, each step's result kept by content.

Supplied by `data` and `tracking`. What leaves is a run with named outputs, and the record of
every step: what it read, which code it was, whether it was run or remembered.
"""
