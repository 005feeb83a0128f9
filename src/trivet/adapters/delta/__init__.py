"""Tables as Delta Lake folders that Spark, Trino, DuckDB and Polars read unchanged.

Supplied by `deltalake` and Polars; several processes may share one folder.
What leaves: `DeltaTables`, which implements the port `Tables` of `core`.
"""
