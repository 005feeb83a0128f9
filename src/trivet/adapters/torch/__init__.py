"""PyTorch: gradients, learning rates and sizes of models, by hooks of its own.

Supplied by `core` and PyTorch. What leaves is a class that watches a model and its optimiser.
"""
