"""The example that every document of the API is shown with, in its JSON schema."""

from pydantic import ConfigDict
from pydantic.config import JsonDict

__all__ = ["example"]


def example(value: JsonDict) -> ConfigDict:
    """What a model is configured with to show `value`."""
    return ConfigDict(json_schema_extra={"examples": [value]})
