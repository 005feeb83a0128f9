"""Moving: runs come in from other stores, and go out to a server of MLflow.

Supplied by `tracking` and `models`. What leaves are the same experiments, runs and models, here or
there, and a fact that says what an import brought.
"""
