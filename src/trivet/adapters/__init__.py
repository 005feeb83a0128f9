"""One folder per vendor or library; each implements ports of the ground floor.

Supplied by `trivet.core` and the one library a folder is named after.
What leaves: objects that pass the contract suites; only the workspace imports them.
"""
