"""The web API: thin routes over the workspace, one file per room, on loopback, behind one token.

Supplied by the workspace. What leaves is JSON; the OpenAPI document is made from the route table.
"""
