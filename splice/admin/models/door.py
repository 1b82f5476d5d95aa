"""What the door says of itself: where viewers come, whether it serves, and what is wrong with a request."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from splice.admin.models.example import example
from splice.http import as_sentence, reason_phrase

__all__ = ["Door", "Problem", "State", "problem"]


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = example(
        {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is no viewer v17."}
    )
    type: Literal["about:blank"] = "about:blank"
    title: Annotated[str, Field(description="the status in words")]
    status: Annotated[int, Field(description="the HTTP status", ge=400, le=599)]
    detail: Annotated[str, Field(description="one sentence that says what to do")]


def problem(status: int, detail: str) -> Problem:
    """The error of a status; `detail` becomes a sentence."""
    return Problem(title=reason_phrase(status).decode(), status=status, detail=as_sentence(detail))


class Door(BaseModel):
    """Where viewers come."""

    model_config = example({"version": "0.1.0", "http": ["127.0.0.1:18090"], "https": [], "live_path": "/live"})
    version: str
    http: Annotated[list[str], Field(description="address:port of HTTP-FLV and WS-FLV; 0.0.0.0 and [::]: all of ours")]
    https: Annotated[list[str], Field(description="the same by TLS")]
    live_path: Annotated[str, Field(description="of a stream's URL")]


class State(BaseModel):
    """Whether the door serves."""

    model_config = example({"status": "ok", "version": "0.1.0"})
    status: Literal["ok", "ready"]
    version: str
