"""The demonstration: the whole loop on the real flights that left New York in 2013.

Supplied by the workspace, which it uses as any user does, and by a distribution of flight data.
What leaves is evidence: a table of stages, a year of figures with intervals, a report.
"""
