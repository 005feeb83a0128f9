"""Buckets of S3, Google Cloud Storage and Azure: what lies in them, and nothing more.

Supplied by `core` and `obstore` (extra `objects`). What leaves is a `Listing`.
"""
