"""Ledger, journal and views in one SQLite file, shared by any number of processes of a host.

Supplied by `apsw` (which brings its own SQLite and its page-checksum layer) and the ground floor.
What leaves: `database.open_database`, whose object carries the three ports, and `backup`.
"""
