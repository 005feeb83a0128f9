"""Fingerprints of code: everything a function can reach, walked, normalised and digested.

Supplied by nobody but `ids`. What leaves is a digest with the parts it was made of, and the limits
of what could be followed.
"""
