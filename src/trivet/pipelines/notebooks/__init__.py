"""Notebooks: cells become steps and one flow, proven to compute what the notebook computes.

Supplied by a notebook's file. What leaves is a module in percent format, and the report of what
was decided, compared and left out.
"""
