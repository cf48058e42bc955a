"""What a call may fail with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import grpc

from . import _protocol


@dataclass(frozen=True)
class FieldViolation:
    """A field of the request that was refused."""

    field: str  # its path, such as "tokens.tokens.shape"
    description: str  # what it is, and what is wanted


class AttentionError(Exception):
    """A call that failed. Of the subclasses each is one code of gRPC."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, *, code: grpc.StatusCode | None = None,
                 violations: tuple[FieldViolation, ...] = (), retry_after: float | None = None,
                 reason: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.violations = violations  # of InvalidArgument
        self.retry_after = retry_after  # seconds that the server asks to wait; None: it does not say
        self.reason = reason  # for programs, such as "INVALID_FIELD"
        self.request_id = request_id  # of a call on a stream

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class Cancelled(AttentionError):
    code = grpc.StatusCode.CANCELLED


class InvalidArgument(AttentionError):
    """The request is wrong; `violations` says where."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(AttentionError):
    """The timeout passed, or the server saw that it would."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(AttentionError):
    """No such layer or version."""

    code = grpc.StatusCode.NOT_FOUND


class PermissionDenied(AttentionError):
    """The server's policy does not let this client call that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(AttentionError):
    """The server has too much to do, or a message is too large; `retry_after` says when to call
    again, where that helps."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(AttentionError):
    code = grpc.StatusCode.FAILED_PRECONDITION


class Unavailable(AttentionError):
    """Nobody answers at the target, the server is shutting down, or the answer was cut off on its way:
    try again, or another one. Where a layer may have been changed nevertheless, the message says so."""

    code = grpc.StatusCode.UNAVAILABLE


class Internal(AttentionError):
    """The server's fault."""

    code = grpc.StatusCode.INTERNAL


_BY_CODE = {c.code: c for c in (Cancelled, InvalidArgument, DeadlineExceeded, NotFound,
                                PermissionDenied, ResourceExhausted, FailedPrecondition,
                                Unavailable, Internal)}
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS_KEY = "grpc-status-details-bin"


def _details(status: Any) -> dict[str, Any]:
    """What a google.rpc.Status brings along, as arguments of AttentionError."""
    found: dict[str, Any] = {}
    for detail in status.details:
        name = detail.type_url.rsplit("/", 1)[-1]
        if name == "google.rpc.BadRequest":
            bad = _protocol.message(name).FromString(detail.value)
            found["violations"] = tuple(
                FieldViolation(v.field, v.description) for v in bad.field_violations)
        elif name == "google.rpc.RetryInfo":
            delay = _protocol.message(name).FromString(detail.value).retry_delay
            found["retry_after"] = delay.seconds + delay.nanos * 1e-9
        elif name == "google.rpc.ErrorInfo":
            found["reason"] = _protocol.message(name).FromString(detail.value).reason
    return found


def from_status(status: Any, request_id: str = "") -> AttentionError:
    """What a google.rpc.Status says, of a call on a stream."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _BY_CODE.get(code, AttentionError)(
        status.message, code=code, request_id=request_id, **_details(status))


# How gRPC reports an answer that was cut off on its way where the connection to a proxy stays: the
# stream ends without trailers (HAProxy), or with trailers without a status, or is reset with NO_ERROR,
# INTERNAL_ERROR (nginx) or CANCEL (HAProxy). Newer releases put its words into brackets behind others.
_CUT_OFF = {
    grpc.StatusCode.UNKNOWN: re.compile(
        r"Stream removed( \(.*)?|No status received"
        r"|Error in HTTP transport completing operation.*", re.DOTALL),
    grpc.StatusCode.INTERNAL: re.compile(
        r"(.*\()?Received RST_STREAM with error code [02]\)*", re.DOTALL),
    grpc.StatusCode.CANCELLED: re.compile(
        r"(.*\()?Received RST_STREAM with error code 8\)*", re.DOTALL),
}


def is_cut_off(code: grpc.StatusCode, words: str) -> bool:
    """Whether a status without details means that the server's own never came."""
    return code in _CUT_OFF and _CUT_OFF[code].fullmatch(words) is not None


def from_rpc_error(error: Any) -> AttentionError:
    """What a grpc.RpcError or grpc.aio.AioRpcError says. An answer that was cut off is Unavailable."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:  # which this server always sends: the status is its own
            found = _details(_protocol.message("google.rpc.Status").FromString(value))
            break
    else:
        found = {}
        if is_cut_off(error.code(), error.details() or ""):
            return Unavailable(f"the answer was cut off on its way: {error.details()}")
    code = error.code()
    return _BY_CODE.get(code, AttentionError)(error.details() or "", code=code, **found)


def with_what_may_have_happened(error: AttentionError) -> AttentionError:
    """What a call that changes layers fails with. A server that refuses says why, and a call for
    which there was no connection has reached none; of any other that ended with Unavailable nobody
    knows how far it came."""
    never_sent = ("failed to connect to all addresses" in error.message
                  or "connections to all backends failing" in error.message)
    if not isinstance(error, Unavailable) or error.reason or never_sent:
        return error
    return Unavailable(f"{error.message}; the layer may or may not have been changed: look at the "
                       "list of layers before you try again")
