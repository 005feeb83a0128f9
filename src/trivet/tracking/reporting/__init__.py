"""Runs that programs report about themselves while they go: experiments, parameters, metrics, tags.

Supplied by `core`: facts for every change, points for metrics, documents for every search. What
leaves is a reported run; the MLflow wire and Trivet's own client both write it.
"""
