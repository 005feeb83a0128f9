"""Blobs, log and series in plain folders: segments, digests and syncs, no database.

Supplied by the file system, `blake3` and NumPy; several processes may share one folder.
What leaves: `FileBlobs`, `FileLog`, `FileSeries` and `FileListing`, behind ports of `core`.
"""
