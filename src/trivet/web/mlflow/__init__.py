"""The wire of MLflow: what an unmodified MLflow client asks for, answered by the rooms.

Supplied by `tracking` and `http`. Nothing is decided here: paths, forms and error codes alone.
"""
