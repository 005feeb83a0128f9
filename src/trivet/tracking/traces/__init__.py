"""Traces: what a program, mostly one around a language model, was asked and did, step by step.

Supplied by `core` and the experiments that traces belong to. What leaves is a trace; its spans are
a file of the trace's artifacts.
"""
