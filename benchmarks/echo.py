"""The floor under serving: an application that reads a body and answers as many bytes as a
prediction has, under the same server.
"""

import socket
import sys
from typing import Any

from trivet.workspace.wiring import run_server

ANSWER_BYTES = 180


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    body = (await receive())["body"][:ANSWER_BYTES]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    run_server(echo, socket.create_server(("127.0.0.1", int(sys.argv[1]))))  # pyright: ignore[reportArgumentType]  # as little as the protocol asks for
