"""PyTorch Lightning: a logger.

Supplied by `core` and Lightning. What leaves is a logger for its trainer.
"""
