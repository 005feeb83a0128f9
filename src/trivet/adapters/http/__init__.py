"""Requests to a server of Trivet over HTTP.

Supplied by the standard library alone.
What leaves: `HttpCourier`, which implements the `Courier` port of `core`.
"""
