"""Messages as JSON over HTTP, signed when a secret is shared.

Supplied by the standard library alone.
What leaves: `WebhookNotifier`, which implements the `Notifier` port of `core`.
"""
