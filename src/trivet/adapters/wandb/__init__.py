"""Weights & Biases: its transaction logs and exported tables, read as holdings.

Nothing of wandb is imported, and nothing is asked of a server.
"""
