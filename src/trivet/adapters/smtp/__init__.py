"""Messages as plain mail.

Supplied by the standard library alone.
What leaves: `SmtpNotifier`, which implements the `Notifier` port of `core`.
"""
