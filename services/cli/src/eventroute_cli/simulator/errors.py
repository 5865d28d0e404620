"""An answer that is an error, in the shape and words of the API."""

from typing import Any

import msgspec


class ApiError(Exception):
    """An answer that is an error, in the API's shape."""

    def __init__(
        self, status: int, kind: str, message: str, *, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Take the HTTP status, the API's error type, a message for people, and the code that some causes have."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.headers = headers or {}

    def body(self, request_id: str) -> bytes:
        """Write the error as the API does."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.code:
            error["details"] = {"error_code": self.code}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def invalid(message: str) -> ApiError:
    """Build the error of a request that can never succeed as it is."""
    return ApiError(400, "invalid_request_error", message)
