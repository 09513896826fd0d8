"""Reading gRPC off the wire as far as a trap needs it: which method is called, with what.

HTTP/2 frames are taken apart and messages unpacked. Headers stay as they are encoded, since that
has a state; but a client never indexes the path, so `grpc_path` says how one looks.
"""

import gzip

# RFC 7541, appendix B: HTTP/2 writes a path with these codes, and the client never indexes it.
_HUFFMAN = (
    ("012aceiost", 5, 0b00000),
    (" %-./3456789=A_bdfghlmnpru", 6, 0b010100),
    (":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 7, 0b1011100),
)
_CODES = {
    char: format(first + n, f"0{bits}b")
    for chars, bits, first in _HUFFMAN
    for n, char in enumerate(chars)
}


def grpc_path(method: str) -> bytes:
    """How the call of a method of Temporal's front end looks on the wire."""
    path = f"/temporal.api.workflowservice.v1.WorkflowService/{method}"
    bits = "".join(_CODES[char] for char in path)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEAD, _MESSAGE_HEAD = 9, 5
_DATA, _HEADERS = 0, 1


class GrpcReader:
    """One way of one connection: encoded headers and plain messages, in order."""

    def __init__(self) -> None:
        self._frames = b""
        self._messages: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> bytes:
        self._frames = (self._frames + chunk).removeprefix(_PREFACE)
        readable = b""
        while len(self._frames) >= _FRAME_HEAD:
            end = _FRAME_HEAD + int.from_bytes(self._frames[:3], "big")
            if len(self._frames) < end:
                break
            kind, stream = self._frames[3], int.from_bytes(self._frames[5:9], "big")
            payload, self._frames = self._frames[_FRAME_HEAD:end], self._frames[end:]
            if kind == _HEADERS:
                readable += payload
            elif kind == _DATA:
                readable += self._message(stream, payload)
        return readable

    def _message(self, stream: int, payload: bytes) -> bytes:
        """The stream's message once it is complete."""
        data = self._messages.pop(stream, b"") + payload
        end = _MESSAGE_HEAD + int.from_bytes(data[1:_MESSAGE_HEAD], "big")
        if len(data) < max(end, _MESSAGE_HEAD):
            self._messages[stream] = data
            return b""
        body = data[_MESSAGE_HEAD:end]
        return gzip.decompress(body) if data[0] else body
