"""LightGBM: boosters and its scikit-learn classes, converted to ONNX exactly.

Supplied by `core` and LightGBM with its ONNX converter. What leaves is a `Flavour`.
"""
