"""MLflow's REST interface over the workspace, so that its unmodified clients work.

Supplied by the tracking and models rooms. What leaves is JSON as those clients read it.
"""
