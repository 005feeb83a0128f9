"""Access: who may do what. Permissions, roles, and tokens that are kept only as digests.

Supplied by `core` alone. What leaves is a principal: the name and rights behind a request.
"""
