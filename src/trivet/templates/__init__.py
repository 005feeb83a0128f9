"""Templates: the files of projects that `trivet init` renders around a user's own table.

They are other people's projects: text, not part of the package's code.
"""
