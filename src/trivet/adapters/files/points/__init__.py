"""How series lie in segments: chunks of points, their figures, sorted indexes and merges.

`chunks` and `living` serve those who append, without NumPy; the others serve readers.
"""
