"""NVML: what NVIDIA's graphics processors do.

Supplied by `core` and nvidia-ml-py. What leaves is a `Meter`.
"""
