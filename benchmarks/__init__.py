"""Benchmarks: `python -m benchmarks` measures and writes `build/bench/<room>.json`.

One module per thing that is measured, each with a function `rows(quick)`. What leaves is a table.
"""
