"""The API as an application of FastAPI: paths, parameters, and the OpenAPI document of both (OpenAPI 3.1).

It knows its tables by `Inventory` alone. Every answer is a model of `models`; every error a problem (RFC 9457).
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from splice.admin.auth import SESSION_COOKIE, SESSION_S, Guard
from splice.admin.events import EventFeed, EventStream, FeedFullError
from splice.admin.inventory import House, Inventory
from splice.admin.metrics import CONTENT_TYPE, Metrics
from splice.admin.models import (
    Door,
    ForwardItem,
    Forwards,
    KeptPullItem,
    KeptPulls,
    NewForward,
    NewPull,
    Origins,
    Problem,
    Publishers,
    State,
    Streams,
    Viewers,
    problem,
)
from splice.admin.nginx_stat import CONTENT_TYPE as XML_TYPE
from splice.admin.nginx_stat import NginxStat
from splice.admin.page import asset, content_security_policy
from splice.admin.standing import RefusedChangeError, Standing

__all__ = ["make_app"]

_MOST: Final = 1000
_PROBLEM: Final = "application/problem+json"
_NO_BODY: Final = "the body has to be a JSON object, of 64 KiB at most; /openapi.json shows one"

_DESCRIPTION: Final = """
What passes through the door, who watches it and what is wrong, and how to stop it.

From this machine itself no token is asked for. From elsewhere it travels as `Authorization: Bearer`, or as the cookie
that `POST /api/v1/session` sets, for those who cannot send fields of their own. Errors are `application/problem+json`.
"""

Limit = Annotated[int, Query(ge=1, le=_MOST, description="the most items to send")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="how many items to leave out first")]
Stream = Annotated[str | None, Query(max_length=257, description="only viewers of this stream, given as app/stream")]
Text = Annotated[
    str,
    Query(
        max_length=128,
        description="only viewers whose peer, address, stream, route, origin or protocol holds this text, in any case",
    ),
]
Id = Annotated[str, Path(max_length=64, description="an item's id")]


def make_app(
    house: House, inventory: Inventory, metrics: Metrics, stat: NginxStat, feed: EventFeed, guard: Guard
) -> FastAPI:
    """The application behind the gate."""
    app = _App(
        title="splice",
        version=house.version,
        description=_DESCRIPTION,
        docs_url=None,  # its page loads its scripts from elsewhere
        redoc_url=None,
    )
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(RefusedChangeError, _refused_change)
    app.add_exception_handler(FeedFullError, _feed_full)
    app.add_exception_handler(Exception, _bug_problem)
    for router in (
        _lists(inventory),
        _kicks(inventory),
        _standing(house.standing),
        _access(feed, guard),
        _state(house, metrics, stat),
        _page(house),
    ):
        app.include_router(router)
    return app


def _lists(inventory: Inventory) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["lists"])

    @router.get("/streams", response_model=Streams, summary="Streams of both routes")
    async def streams(limit: Limit = _MOST, offset: Offset = 0) -> Response:
        found = inventory.streams()
        return _json(Streams.model_construct(streams=found[offset : offset + limit], total=len(found)))

    @router.get("/viewers", response_model=Viewers, summary="Viewers, the oldest first")
    async def viewers(limit: Limit = _MOST, offset: Offset = 0, stream: Stream = None, text: Text = "") -> Response:
        page, total = inventory.viewers(stream, text, offset, offset + limit)
        return _json(Viewers.model_construct(viewers=page, total=total))

    @router.get("/publishers", response_model=Publishers, summary="Publishers and pulls, the oldest first")
    async def publishers(limit: Limit = _MOST, offset: Offset = 0) -> Response:
        found = inventory.publishers()
        return _json(Publishers.model_construct(publishers=found[offset : offset + limit], total=len(found)))

    @router.get("/origins", response_model=Origins, summary="Origins, and how asking them went")
    async def origins() -> Response:
        found = inventory.origins()
        return _json(Origins.model_construct(origins=found, total=len(found)))

    return router


def _kicks(inventory: Inventory) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["kicks"], responses=_problems(404, 422))

    def kick(what: str, end: Callable[[str], bool], text: str) -> None:
        @router.delete(f"/{what}s/{{id}}", status_code=204, name=f"end_{what}", summary=f"End a {what}: {text}")
        async def end_item(id: Id) -> Response:  # noqa: A002 -- the path's own name for it
            if not end(id):
                raise HTTPException(404, f"there is no {what} of the id {id!r} any more")
            return Response(status_code=204)

    kick("viewer", inventory.end_viewer, "its connection closes")
    kick("publisher", inventory.end_publisher, "its viewers wait for another, for hub.republish_grace_s")
    kick("stream", inventory.end_stream, "whoever brings it, and all its viewers")
    return router


def _standing(standing: Standing) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["forwards and pulls"])

    @router.get("/forwards", response_model=Forwards, summary="Which streams are sent on, and how that goes")
    async def forwards() -> Response:
        found = standing.forwards()
        return _json(Forwards.model_construct(forwards=found, total=len(found)))

    @router.post(
        "/forwards",
        status_code=201,
        response_model=ForwardItem,
        responses=_problems(409, 422),
        summary="Send streams on, from now on, those that are live too",
        description="A reload leaves it alone; a restart forgets it.",
    )
    async def add_forward(new: NewForward) -> Response:
        return _json(standing.add_forward(new), status=201)

    @router.delete(
        "/forwards/{id}",
        status_code=204,
        responses=_problems(404, 409, 422),
        summary="End a forward: its targets are told that this is all",
    )
    async def end_forward(id: Id) -> Response:  # noqa: A002 -- the path's own name for it
        standing.remove_forward(id)
        return Response(status_code=204)

    @router.get("/pulls", response_model=KeptPulls, summary="Streams that are pulled without viewers")
    async def pulls() -> Response:
        found = standing.kept_pulls()
        return _json(KeptPulls.model_construct(pulls=found, total=len(found)))

    @router.post(
        "/pulls",
        status_code=201,
        response_model=KeptPullItem,
        responses=_problems(404, 409, 422),
        summary="Pull a stream of a configured origin, whether anybody watches or not",
        description="It need not be there yet. A reload leaves it alone; a restart forgets it.",
    )
    async def add_pull(new: NewPull) -> Response:
        return _json(standing.keep(new), status=201)

    @router.delete(
        "/pulls/{id}",
        status_code=204,
        responses=_problems(404, 409, 422),
        summary="Keep a pull no longer: without viewers it ends after hub.idle_stop_s",
    )
    async def end_pull(id: Id) -> Response:  # noqa: A002 -- the path's own name for it
        standing.let_go(id)
        return Response(status_code=204)

    return router


def _access(feed: EventFeed, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["access"])

    @router.get(
        "/events",
        status_code=200,
        response_class=EventStream,
        summary="The log's events as they come",
        description="Server-sent events: the event's name, and its fields as JSON. Who reads too slowly loses the "
        "oldest, and gets an event `lost` with their `count`.",
        responses={
            200: {
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string"},
                        "example": 'event: viewer.start\ndata: {"event": "viewer.start", "id": "v17"}\n\n',
                    }
                }
            },
            **_problems(503),
        },
    )
    async def events() -> Response:
        return EventStream(feed)

    @router.post(
        "/session",
        status_code=204,
        summary="A cookie in the token's place",
        description="Send the token as Authorization: Bearer once; the cookie holds for twelve hours, or until the "
        "token changes or the door stops.",
    )
    async def session(request: Request) -> Response:
        response = Response(status_code=204)
        secure = request.url.scheme == "https"
        response.set_cookie(
            SESSION_COOKIE, guard.new_session(), max_age=SESSION_S, httponly=True, samesite="strict", secure=secure
        )
        return response

    @router.delete("/session", status_code=204, summary="Take the cookie back from this browser")
    async def end_session(request: Request) -> Response:
        response = Response(status_code=204)
        secure = request.url.scheme == "https"
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", secure=secure)
        return response

    return router


def _state(house: House, metrics: Metrics, stat: NginxStat) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/healthz", response_model=State, summary="Whether the door is alive; for everyone")
    async def healthz() -> Response:
        return _json(State(status="ok", version=house.version))

    @router.get(
        "/readyz",
        response_model=State,
        responses=_problems(503),
        summary="Whether viewers may be sent here; for everyone",
    )
    async def readyz() -> Response:
        if house.draining():
            raise HTTPException(503, "the door is stopping and takes nobody in")
        return _json(State(status="ready", version=house.version))

    # HEAD is for probes, and has no schema of its own: what it answers is GET's, without the body.

    @router.head("/healthz", include_in_schema=False)
    async def healthz_head() -> Response:
        return Response()

    @router.head("/readyz", include_in_schema=False)
    async def readyz_head() -> Response:
        return Response(status_code=503 if house.draining() else 200)

    @router.get("/api/v1/door", response_model=Door, summary="Where viewers come")
    async def door() -> Response:
        http, https = list(house.http), list(house.https)
        return _json(Door(version=house.version, http=http, https=https, live_path=house.live_path()))

    @router.get(
        "/metrics",
        response_class=Response,
        summary="For Prometheus",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics_text() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @router.get(
        "/stat",
        response_class=Response,
        summary="As nginx-rtmp's rtmp_stat",
        responses={200: {"content": {XML_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def nginx_stat() -> Response:
        return Response(stat.xml(), headers={"Content-Type": XML_TYPE})

    return router


def _page(house: House) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    ports = [int(address.rpartition(":")[2]) for address in (*house.http, *house.https)]
    fields = {"Content-Security-Policy": content_security_policy(ports), "Referrer-Policy": "no-referrer"}

    @router.api_route("/", methods=["GET", "HEAD"])
    @router.api_route("/-/{name}", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        found = asset(request.scope["path"])
        if found is None:
            raise HTTPException(404)
        content_type, content = found
        return Response(content, headers={"Content-Type": content_type, **fields})

    return router


def _json(model: BaseModel, *, status: int = 200) -> Response:
    """As JSON, without the second validation that a list of a thousand would wait for."""
    return Response(model.model_dump_json(), status_code=status, media_type="application/json")


async def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- Starlette's signature is wider than what it calls this with
    detail = {
        404: "nothing is at this path; /openapi.json says what there is",
        405: "this path is not asked for with that method; Allow says with which",
    }
    if error.status_code == 400:  # FastAPI's own, of a body that cannot be read
        return _problem(422, _NO_BODY)
    own = error.detail not in ("Not Found", "Method Not Allowed")
    return _problem(error.status_code, error.detail if own else detail[error.status_code], error.headers)


async def _refused_change(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedChangeError)  # noqa: S101 -- as above
    return _problem(error.status, error.detail)


async def _feed_full(_request: Request, _error: Exception) -> Response:
    return _problem(503, "as many listen as may; close one of them first", {"Retry-After": "5"})


async def _validation_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- as above
    first = error.errors()[0]
    if first["loc"][0] == "body" and (len(first["loc"]) == 1 or first["type"] == "json_invalid"):
        return _problem(422, _NO_BODY)
    if first["type"] == "string_pattern_mismatch":  # whose own sentence shows the pattern
        return _problem(422, f"the parameter {first['loc'][-1]}: is not of the form that /openapi.json says")
    said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    return _problem(422, f"the parameter {first['loc'][-1]}: {said[:1].lower()}{said[1:]}")


async def _bug_problem(_request: Request, _error: Exception) -> Response:
    return _problem(500, "a bug of the door's; its log says where")  # Starlette raises it again, for the gate to log


def _problem(status: int, detail: str, headers: Any = None) -> Response:
    content = problem(status, detail).model_dump_json()
    return Response(content, status_code=status, headers=headers, media_type=_PROBLEM)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


class _App(FastAPI):
    """With an OpenAPI document that says what is true: every error is a problem, and who may call."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe_errors(operation, for_everyone=path in ("/healthz", "/readyz"))
            components = document["components"]
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            components["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            }
            self.openapi_schema = document
        return self.openapi_schema


def _describe_errors(operation: dict[str, Any], *, for_everyone: bool) -> None:
    responses = operation["responses"]
    if not for_everyone:
        operation["security"] = [{}, {"token": []}, {"session": []}]  # the empty one: from loopback
        for status, text in ((401, "no token"), (403, "another site"), (421, "unknown Host"), (429, "wrong tokens")):
            responses.setdefault(str(status), {"description": text})
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
