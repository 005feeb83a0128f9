"""Autolog: training libraries report by themselves, without a word in the program.

Supplied by `reporting` and by adapters, which say what to watch. What leaves are reported runs.
"""
