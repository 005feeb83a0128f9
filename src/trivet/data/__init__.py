"""Data: files and tables come in, are checked, profiled, and published as versions.

Supplied by `core` alone. What leaves is a data commit: the versions of tables and file trees that
belong together, under one identifier that runs, models and predictions refer to.
"""
