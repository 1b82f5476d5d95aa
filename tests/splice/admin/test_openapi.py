"""The OpenAPI document is true: schemathesis asks for all that it describes, and for what it does not."""

import re

import httpx
import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from splice.admin import models
from tests.splice.admin.admin_house import AdminHouse, open_admin_house


def _document() -> dict[str, object]:
    async def read() -> httpx.Response:
        async with open_admin_house() as house, house.client() as client:
            return await client.get("/openapi.json")

    return trio.run(read).json()


DOCUMENT = _document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [operation.ok() for operation in SCHEMA.get_all_operations()]
FINITE = [operation for operation in OPERATIONS if operation.path != "/api/v1/events"]  # whose answer does not end


async def filled(house: AdminHouse) -> None:
    house.publish()
    house.pull("b")
    house.watch().begun()
    house.watch("hub", None)
    house.health.succeeded("a")
    house.health.failed("b", "refused")


def asked(operation: APIOperation, mode: GenerationMode) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        async def call() -> httpx.Response:
            async with open_admin_house() as house, house.client() as client:
                await filled(house)
                wanted = case.as_transport_kwargs(base_url="http://localhost")
                given = {name: wanted[name] for name in ("params", "headers", "json") if name in wanted}
                return await client.request(wanted["method"], wanted["url"], content=wanted.get("data"), **given)

        case.validate_response(trio.run(call))

    ask()


@pytest.mark.parametrize("operation", FINITE, ids=lambda operation: operation.label)
def test_every_operation_answers_as_the_document_says(operation: APIOperation) -> None:
    asked(operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    "operation", [op for op in FINITE if "{" in op.path or op.query or op.body], ids=lambda op: op.label
)
def test_every_operation_refuses_what_the_document_does_not_allow(operation: APIOperation) -> None:
    asked(operation, GenerationMode.NEGATIVE)


def test_the_document_has_every_path_of_the_contract() -> None:
    found = {f"{operation.method.upper()} {operation.path}" for operation in OPERATIONS}
    lists = ("streams", "viewers", "publishers", "origins")
    assert found == {
        *(f"GET /api/v1/{name}" for name in lists),
        *(f"DELETE /api/v1/{name}/{{id}}" for name in lists[:3]),
        "GET /api/v1/events",
        "POST /api/v1/session",
        "DELETE /api/v1/session",
        *(f"{method} /api/v1/{name}" for method in ("GET", "POST") for name in ("forwards", "pulls")),
        *(f"DELETE /api/v1/{name}/{{id}}" for name in ("forwards", "pulls")),
        "GET /stat",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /api/v1/door",
    }


@pytest.mark.parametrize("name", [name for name in models.__all__ if name != "problem"])
def test_every_example_is_valid(name: str) -> None:
    model: type[BaseModel] = getattr(models, name)
    (example,) = model.model_json_schema()["examples"]
    assert model.model_validate(example, strict=False).model_dump(mode="json") == example


def test_every_error_is_described_as_a_problem() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            errors = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
            for answer in errors.values():
                assert list(answer["content"]) == ["application/problem+json"], (path, method)
            assert ("401" in errors) == (not re.fullmatch(r"/(healthz|readyz)", path))
