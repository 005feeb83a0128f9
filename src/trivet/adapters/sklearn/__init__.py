"""scikit-learn: linear models, forests, and pipelines of them, kept by skops and served as ONNX.

Supplied by `core` and scikit-learn with skops and its ONNX converter. What leaves is a `Flavour`.
"""
