"""gzip and zstd bodies, inflated within a limit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from app.errors import BodyTooLargeError, MalformedBodyError, UnsupportedEncodingError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP_WINDOW: Final = 31
_STEP: Final = 256 * 1024


class Inflater:
    """Inflates a body piece by piece, never more than a step ahead of whoever consumes it.

    Args:
        encoding: the value of Content-Encoding.

    Raises:
        UnsupportedEncodingError: neither gzip, zstd nor identity.
    """

    def __init__(self, encoding: str) -> None:
        self._zlib: Any = None
        self._zstd: Any = None
        match encoding.strip().lower():
            case "" | "identity":
                pass
            case "gzip" | "x-gzip":
                self._zlib = zlib.decompressobj(_GZIP_WINDOW)
            case "zstd":
                from backports.zstd import ZstdDecompressor  # noqa: PLC0415 - loaded when first needed

                self._zstd = ZstdDecompressor()
            case _:
                raise UnsupportedEncodingError("send the body as it is, or with Content-Encoding gzip or zstd")

    @property
    def plain(self) -> bool:
        """Whether bytes pass as they are."""
        return self._zlib is None and self._zstd is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what a piece inflates to.

        Raises:
            MalformedBodyError: the piece is not of the announced encoding.
        """
        if self.plain:
            yield data
            return
        try:
            yield from self._gunzip(data) if self._zlib is not None else self._unzstd(data)
        except MalformedBodyError:
            raise
        except Exception as error:
            raise MalformedBodyError("the body is not of its Content-Encoding; compress it again") from error

    def finish(self) -> None:
        """Check that the compressed body came to its end.

        Raises:
            MalformedBodyError: it was cut.
        """
        codec = self._zlib if self._zlib is not None else self._zstd
        if codec is not None and not codec.eof:
            raise MalformedBodyError("the compressed body is cut; send it whole")

    def _gunzip(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._zlib.eof:
                raise MalformedBodyError("there are bytes after the end of the compressed body; send one stream")
            yield self._zlib.decompress(data, _STEP)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _unzstd(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._zstd.needs_input or self._zstd.eof):
            if self._zstd.eof:
                raise MalformedBodyError("there are bytes after the end of the compressed body; send one stream")
            yield self._zstd.decompress(data, _STEP)
            data = self._zstd.unused_data


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Inflate a whole body.

    Raises:
        UnsupportedEncodingError: neither gzip, zstd nor identity.
        MalformedBodyError: cut, or not of that encoding.
        BodyTooLargeError: more than `limit` bytes come out.
    """
    inflater = Inflater(encoding)
    if inflater.plain:
        return body
    result = bytearray()
    for piece in inflater.feed(body):
        result += piece
        if len(result) > limit:
            raise BodyTooLargeError(f"the body inflates to more than {limit} bytes; split it, or stream it as NDJSON")
    inflater.finish()
    return bytes(result)
