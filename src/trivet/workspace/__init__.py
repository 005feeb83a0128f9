"""The workspace: settings, and the one place where rooms and adapters are wired together.

Supplied by every room and every adapter. What leaves is the `Workspace`: a room on each attribute.
"""
