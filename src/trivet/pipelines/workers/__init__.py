"""Steps outside the calling process: calls are packed, answered by a worker, and unpacked.

Supplied by the `Workers` of an adapter. What leaves is a value as if it had been made here.
"""
