"""A server that answers `{}` to whatever it is asked, at once: what a client alone can reach.

It reads no more of a request than where it ends. What a client asks for when a run begins is
answered with a run, so that the client's own code does all that it does otherwise.
"""

import asyncio
import json
import re
import sys
from typing import cast

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_RUN = {
    "run": {
        "info": {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "status": 1},
        "data": {},
    }
}
_ANSWERS = {
    b"/health": b"OK",
    b"/api/2.0/mlflow/runs/create": json.dumps(_RUN).encode(),
}


class Stub(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._received, 0, head)
            end = head + 4 + (int(found[1]) if found else 0)
            if len(self._received) < end:
                return
            path = self._received.split(b" ", 2)[1].partition(b"?")[0]
            self._received = self._received[end:]
            body = _ANSWERS.get(path, b"{}")
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
