"""Messages to a program of the user's.

Supplied by the operating system alone.
What leaves: `CommandNotifier`, which implements the `Notifier` port of `core`.
"""
