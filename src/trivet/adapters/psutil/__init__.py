"""psutil: what a machine does where there is no `/proc` (macOS, Windows).

Supplied by `core` and psutil. What leaves is a `Meter`.
"""
