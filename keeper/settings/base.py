"""What all settings share: frozen, nothing unknown, nothing converted, no input in messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator


class Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, serialize_by_alias=True
    )


class Chosen(Model):
    """A kind, and the options of that kind: every other key. They are checked against the kind's own dataclass."""

    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        own = {field.alias or name for name, field in cls.model_fields.items()} - {"options"}
        options = {key: value for key, value in written.items() if key not in own}
        return {**{key: value for key, value in written.items() if key in own}, "options": options}

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it is written: the options beside the kind."""
        shown: dict[str, Any] = handler(self)
        return {**{key: value for key, value in shown.items() if key != "options"}, **shown.get("options", {})}
