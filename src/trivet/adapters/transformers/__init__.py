"""Hugging Face transformers: trainings that report by themselves.

Supplied by `core` and transformers. What leaves is a callback.
"""
