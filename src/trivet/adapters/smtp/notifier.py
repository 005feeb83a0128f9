"""A message as a mail, over a connection of its own."""

import contextlib
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import msgspec

from trivet.core.deadlines import Deadline
from trivet.core.errors import Invalid, Unavailable
from trivet.core.ports import Message


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail is handed in."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""


class _Plain(smtplib.SMTP):
    """A connection under a deadline, from the moment it is made: the greeting counts too."""

    def __init__(self, host: str, port: int, timeout_s: float, deadline: Deadline) -> None:
        deadline.watch(self)
        super().__init__(host, port, timeout=timeout_s)


class _Secure(smtplib.SMTP_SSL):
    """The same, with TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        timeout_s: float,
        context: ssl.SSLContext,
        deadline: Deadline,
    ) -> None:
        deadline.watch(self)
        super().__init__(host, port, timeout=timeout_s, context=context)


class SmtpNotifier:
    """Hands mails to a server. The message's key is the mail's Message-ID and `Idempotency-Key`.

    Args:
        server: The server.
        sender: The address that mails come from.
        recipients: The addresses they go to, at least one.
    """

    def __init__(self, server: SmtpServer, *, sender: str, recipients: Sequence[str]) -> None:
        self._server = server
        self._sender = sender
        self._recipients = tuple(recipients)

    def send(self, message: Message, *, timeout_s: float) -> None:
        mail = self._mail(message)
        deadline = Deadline(timeout_s)
        try:
            with deadline, contextlib.closing(self._connected(timeout_s, deadline)) as smtp:
                if self._server.user:
                    smtp.login(self._server.user, self._server.password)
                smtp.send_message(mail)
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    smtp.quit()  # the mail is taken, however they part
        except (OSError, smtplib.SMTPException) as error:
            late = f"not within {timeout_s:.3g} s" if deadline.has_passed else ""
            raise self._told(error, late) from error

    def _told(self, error: Exception, late: str) -> Unavailable | Invalid:
        if isinstance(error, smtplib.SMTPResponseException) and not late:
            return self._refusal(error.smtp_code)
        if isinstance(error, smtplib.SMTPRecipientsRefused) and not late:
            codes = [code for code, _ in error.recipients.values()]
            return self._refusal(max(codes, default=550))
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return Invalid(
                f"{self._server.host} does not offer what is asked of it: {error}",
                code="not-taken",
                hint="Set security in notify.toml to what the server offers.",
            )
        return Unavailable(
            f"{self._server.host} did not take the mail: {late or error}",
            code="no-answer",
            hint="It is tried again; check host and port in notify.toml.",
        )

    def _connected(self, timeout_s: float, deadline: Deadline) -> smtplib.SMTP:
        place = (self._server.host, self._server.port)
        if self._server.security == "tls":
            context = ssl.create_default_context()
            return _Secure(*place, timeout_s, context, deadline)
        smtp = _Plain(*place, timeout_s, deadline)
        if self._server.security == "starttls":
            try:
                smtp.starttls(context=ssl.create_default_context())
            except BaseException:
                smtp.close()
                raise
        return smtp

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        # Names come from people and data: a line's end must not begin another header.
        mail["Subject"] = " ".join(message.title.split())
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(message.time)
        mail["Message-ID"] = f"<{message.key}@trivet>"
        mail["Idempotency-Key"] = message.key
        mail.set_content(f"{message.text}\n")
        return mail

    def _refusal(self, code: int) -> Unavailable | Invalid:
        if 400 <= code < 500:
            return Unavailable(
                f"{self._server.host} answered {code}", code="no-answer", hint="It is tried again."
            )
        return Invalid(
            f"{self._server.host} answered {code} and does not take the mail",
            code="not-taken",
            hint="Check user, password_env, sender and to in notify.toml, then "
            "`trivet notify retry KEY`.",
        )
