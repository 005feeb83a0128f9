"""A proof of concept: several algorithms beside a baseline on the same rows, at what cost.

Supplied by the models room and `pipelines`. What leaves is a `Proof`, as a page and as a table.
"""
