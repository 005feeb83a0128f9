"""One suite per port: subclass it, say how the store is opened, and run pytest.

Supplied by the ground floor, pytest and Hypothesis.
What leaves: one class of tests per file, named after the port.
"""
