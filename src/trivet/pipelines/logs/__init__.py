"""What the steps of a run print and log: caught in this process, masked, kept, followed.

Supplied by the code of users' flows; what leaves is lines with their step and time.
"""
