"""A web hook and a mail server of our own, on this machine, that write down what they get."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """What a web hook got. `answers` are given one after another, then 204."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.got]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def web_hook() -> Iterator[Hook]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append((dict(self.headers), body))
            code = hook.answers.pop(0) if hook.answers else 204
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"{hook.url}elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    hook = Hook(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox:
    """What a mail server got. A recipient whose address begins with `no` is refused."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[str] = []


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    class Receiver(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            for raw in self.rfile:
                word = raw.decode().strip().upper()
                if word.startswith("DATA"):
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    box.mails.append(b"".join(lines).decode())
                    self.say("250 taken")
                elif word.startswith("QUIT"):
                    self.say("221 bye")
                    return
                else:
                    self.say("550 nobody" if word.startswith("RCPT TO:<NO") else "250 fine")

        def say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Receiver)
    box = Mailbox(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def trickle(*, first: bytes = b"", piece: bytes = b"2") -> Iterator[int]:
    """Answer on a port: `first`, then `piece` every now and then, for as long as somebody hears."""

    class Receiver(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.sendall(first)
                while not over.wait(0.05):
                    self.request.sendall(piece)
            except OSError:
                gone.release()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    over, gone = threading.Event(), threading.Semaphore(0)
    server = Server(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
        assert gone.acquire(timeout=30), "somebody still listens"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
