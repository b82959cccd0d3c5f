"""Domain errors with stable codes and no transport in them.

TPVError
├── ContractError        columns that cannot be built into a matrix
├── ArtifactError        an artifact that must not be served
│   ├── ArtifactMissingError
│   ├── DigestMismatchError
│   ├── UnsafePayloadError
│   ├── IncompatibleArtifactError
│   └── GoldenRowsError
├── SettingsError        a setting that is unknown or out of range
├── RequestError         the caller's mistake
│   ├── MalformedBodyError
│   ├── NestingError
│   ├── InvalidRequestError
│   ├── TooManyRowsError
│   ├── BodyTooLargeError
│   ├── BodyTimeoutError
│   ├── UnsupportedMediaTypeError
│   ├── UnsupportedEncodingError
│   ├── NotAcceptableError
│   ├── UnauthorizedError
│   └── ClientGoneError
└── UnavailableError     not now; the same request may succeed later
    ├── OverloadedError
    ├── PredictionTimeoutError
    └── ModelNotReadyError
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PROBLEMS: Final = 100
"""Problems listed in one error; a body with thousands would make an answer of megabytes."""


class TPVError(Exception):
    """Base of every error this project raises on purpose; the message is for people."""

    code: ClassVar[str] = "internal"


class ContractError(TPVError):
    """The columns given are not the raw inputs that were declared."""

    code = "invalid_columns"


class ArtifactError(TPVError):
    """The artifact must not be served."""

    code = "artifact_invalid"


class ArtifactMissingError(ArtifactError):
    """There is no artifact, manifest or champion pointer where one was named."""

    code = "artifact_missing"


class DigestMismatchError(ArtifactError):
    """The bytes are not those that the manifest or the champion pointer names."""

    code = "artifact_digest_mismatch"


class UnsafePayloadError(ArtifactError):
    """The pickle asks for something other than plain data, or is damaged."""

    code = "artifact_unsafe"


class IncompatibleArtifactError(ArtifactError):
    """The payload is whole but of another protocol, schema or feature set."""

    code = "artifact_incompatible"


class GoldenRowsError(ArtifactError):
    """The model loads but does not reproduce the answers it was shipped with."""

    code = "artifact_golden_rows"


class SettingsError(TPVError):
    """A setting is unknown or out of its range."""

    code = "invalid_settings"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one part of a request.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the part, "" for the whole body.
        code: stable name of the broken rule.
        detail: the rule and the remedy, for people; never the value that broke it.
    """

    pointer: str
    code: str
    detail: str


class RequestError(TPVError):
    """The caller's mistake; sending the same request again cannot help."""

    code = "bad_request"


class MalformedBodyError(RequestError):
    """The body is not of the grammar its media type names."""

    code = "malformed_body"


class NestingError(RequestError):
    """The body is nested deeper than allowed."""

    code = "nesting_too_deep"


class InvalidRequestError(RequestError):
    """The body is well formed and breaks the schema.

    Attributes:
        problems: each part that is wrong, in the order of the body; at most `MAX_PROBLEMS`.
    """

    code = "invalid_request"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        shown = tuple(problems[:MAX_PROBLEMS])
        total = f"{len(problems)} problems, the first {len(shown)} shown" if len(problems) > len(shown) else ""
        super().__init__(total or f"{len(shown)} problem{'s' if len(shown) > 1 else ''} in the request")
        self.problems = shown


class TooManyRowsError(RequestError):
    """More rows than one request may hold."""

    code = "too_many_rows"


class BodyTooLargeError(RequestError):
    """The body, or what it decompresses to, is larger than allowed."""

    code = "body_too_large"


class BodyTimeoutError(RequestError):
    """The body stopped coming."""

    code = "body_timeout"


class UnsupportedMediaTypeError(RequestError):
    """No decoder for this Content-Type."""

    code = "unsupported_media_type"


class UnsupportedEncodingError(RequestError):
    """No decoder for this Content-Encoding."""

    code = "unsupported_content_encoding"


class NotAcceptableError(RequestError):
    """No encoder for what Accept allows."""

    code = "not_acceptable"


class UnauthorizedError(RequestError):
    """No valid API key."""

    code = "unauthorized"


class ClientGoneError(RequestError):
    """The caller hung up before the answer."""

    code = "client_gone"


class UnavailableError(TPVError):
    """The service cannot answer now; the same request may succeed later.

    Attributes:
        retry_after: seconds that the caller should wait.
    """

    code = "unavailable"
    retry_after: ClassVar[int] = 1


class OverloadedError(UnavailableError):
    """Every slot and every place in the queue is taken."""

    code = "overloaded"


class PredictionTimeoutError(UnavailableError):
    """The answer took longer than allowed."""

    code = "prediction_timeout"


class ModelNotReadyError(UnavailableError):
    """No model is loaded."""

    code = "model_not_ready"
    retry_after = 5


class DrainingError(UnavailableError):
    """The process was told to stop."""

    code = "draining"
