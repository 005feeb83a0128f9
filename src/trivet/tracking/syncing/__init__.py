"""What programs report on one machine, sent to a server on another.

Supplied by the facts and points of `tracking.reporting`; what leaves are deliveries, which may
arrive twice and count once.
"""
