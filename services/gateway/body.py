"""The body of a REST request: its type, its encoding, and never more of it than the limit, packed or not."""

import zlib

from starlette.requests import ClientDisconnect, Request

from snowmelt.contracts.errors import Reason, SnowmeltError

BODY_BYTES_MAX = 1024 * 1024
JSON = "application/json"


def check_acceptable(request: Request) -> None:
    """Refuses a request that takes no JSON.

    Raises:
        SnowmeltError: NOT_ACCEPTABLE.
    """
    accepted = request.headers.get("accept", "*/*")
    for choice in accepted.split(","):
        name, *parameters = (part.strip().lower() for part in choice.split(";"))
        if name in (JSON, "application/*", "*/*", "application/problem+json", "") and "q=0" not in parameters:
            return
    raise SnowmeltError(Reason.NOT_ACCEPTABLE, f"answers are {JSON}")


async def read(request: Request) -> bytes:
    """The body, unpacked; empty where there is none.

    Raises:
        SnowmeltError: UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, CANCELLED where the client has gone.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise SnowmeltError(Reason.UNSUPPORTED_MEDIA_TYPE, "content-encoding is gzip or identity")
    if int(request.headers.get("content-length", "0")) > BODY_BYTES_MAX:
        raise _too_large()
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > BODY_BYTES_MAX:
                raise _too_large()
    except ClientDisconnect:
        raise SnowmeltError(Reason.CANCELLED, "the client went away") from None
    if raw:
        _check_type(request.headers.get("content-type", ""))
    return _unpacked(bytes(raw)) if encoding == "gzip" else bytes(raw)


def _check_type(said: str) -> None:
    name, *parameters = (part.strip().lower() for part in said.split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    if name != JSON or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise SnowmeltError(Reason.UNSUPPORTED_MEDIA_TYPE, f"send content-type: {JSON}, in UTF-8")


def _unpacked(raw: bytes) -> bytes:
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unpack.decompress(raw, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise SnowmeltError(Reason.MALFORMED_JSON, "the body is not gzip") from None
    if len(body) > BODY_BYTES_MAX or unpack.unconsumed_tail:
        raise _too_large()
    if not unpack.eof or unpack.unused_data:
        raise SnowmeltError(Reason.MALFORMED_JSON, "the body is not one whole gzip member")
    return body


def _too_large() -> SnowmeltError:
    return SnowmeltError(Reason.BODY_TOO_LARGE, f"a body has at most {BODY_BYTES_MAX} bytes, unpacked")
