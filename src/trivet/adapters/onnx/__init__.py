"""ONNX: models that were exported elsewhere, taken as they are.

Supplied by `core`, the ONNX library and ONNX Runtime. What leaves is a `Flavour`.
"""
