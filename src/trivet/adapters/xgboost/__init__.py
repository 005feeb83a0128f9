"""XGBoost: trainings that report by themselves.

Supplied by `core` and XGBoost. What leaves are an `Autologger` and a callback.
"""
