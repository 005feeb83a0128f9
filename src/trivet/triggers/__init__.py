"""Triggers: rules from facts to run requests. Every firing and non-firing is on record.

Supplied by `monitoring` and `pipelines`. What leaves are requests for runs, each with its reason:
so the ring closes, in the data and not in the imports.
"""
