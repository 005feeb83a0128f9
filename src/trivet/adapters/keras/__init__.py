"""Keras 3: trainings that report by themselves, on any of its backends.

Supplied by `core` and Keras. What leaves is a callback.
"""
