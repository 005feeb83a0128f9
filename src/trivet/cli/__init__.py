"""The command line: one file per room, each command a parse, one service call and a print.

Supplied by the workspace and all below it. What leaves is text for people, JSON for programs.
"""
