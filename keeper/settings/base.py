"""What all settings share: frozen, nothing unknown, nothing converted, no input in messages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, serialize_by_alias=True
    )


class Chosen(Model):
    """A kind, and the options of that kind: every other key. They are checked against the kind's own dataclass.

    `choices`: the registry of the kinds, where it is known here; the JSON Schema then names every option.
    """

    choices: ClassVar[Mapping[str, type[Any]] | None] = None

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

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As it is written: no key `options`, but the options themselves."""
        schema = handler(core)
        shape = handler.resolve_ref_schema(schema)
        del shape["properties"]["options"]
        shape["additionalProperties"] = cls.choices is None
        owners: dict[str, list[str]] = {}
        for name, kind in (cls.choices or {}).items():
            for option in dataclasses.fields(kind):
                owners.setdefault(option.name, []).append(name)
        for option_name, names in owners.items():
            shape["properties"].setdefault(option_name, {"description": f"Option of {', '.join(names)}."})
        return schema
