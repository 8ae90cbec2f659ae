"""The OpenAPI document, out of the protos and their rules: it says what is enforced and nothing else."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from buf.validate import validate_pb2
from services.gateway.rest_door import Route
from snowmelt.contracts.errors import Reason
from snowmelt.runtime.auth import Policies
from snowmelt.runtime.json_messages import Field, is_map, value_field

FILLED_IN = {"Event": {"event_id", "tenant", "event_time_ms"}, "ItemUpsert": {"tenant", "event_time_ms"}}
"""What the gateway fills in: not required of a request, whatever the rules of the complete message say."""
REFUSED = {"Event": {"categories", "price"}}
"""What it fills in and takes from nobody: no request has it."""

_TYPES = {
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_INT32: "integer",
    FieldDescriptor.CPPTYPE_INT64: "integer",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_FLOAT: "number",
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"enum": [reason.code for reason in Reason]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "trace_id": {"type": "string"},
    },
}


def document(routes: Sequence[Route], rows: Policies) -> dict[str, Any]:
    """The document of these routes."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, rows, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Snowmelt", "version": "1", "description": "The public door; gRPC answers the same."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, rows: Policies, schemas: dict[str, Any]) -> dict[str, Any]:
    in_path = [name.strip("{}") for name in route.path.split("/") if name.startswith("{")]
    fields = route.request.DESCRIPTOR.fields_by_name
    operation: dict[str, Any] = {
        "operationId": route.name,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _schema(fields[name], schemas, rules=True)}
            for name in in_path
        ],
        "responses": {
            "200": _content(_message(route.response.DESCRIPTOR, schemas, rules=False), "The answer"),
            "default": {
                "description": "What went wrong, as RFC 9457 says",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if rows[route.key].role is not None:
        operation["security"] = [{"token": []}]
    if route.body != "none":
        schema = _message(route.request.DESCRIPTOR, schemas, rules=True)
        body = _content(schema, "")
        operation["requestBody"] = {"required": route.body == "required", "content": body["content"]}
    return operation


def _content(schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _message(descriptor: Any, schemas: dict[str, Any], *, rules: bool) -> dict[str, Any]:
    name = descriptor.name
    if name not in schemas:
        schemas[name] = {}
        fields = [f for f in descriptor.fields if not (rules and f.name in REFUSED.get(name, ()))]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {f.name: _schema(f, schemas, rules=rules) for f in fields},
        }
        required = [f.name for f in fields if (_required(f) if rules else not f.has_presence)]
        required = [f for f in required if f not in FILLED_IN.get(name, ())] if rules else required
        if required:
            schema["required"] = required
        if rules:
            schema["additionalProperties"] = False
        whole = descriptor.GetOptions().Extensions[validate_pb2.message]
        if whole.cel:
            schema["description"] = "; ".join(rule.message for rule in whole.cel)
        schemas[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def _rules(field: Field) -> Any:
    return field.GetOptions().Extensions[validate_pb2.field]


def _required(field: Field) -> bool:
    rules = _rules(field)
    return bool(not field.has_presence and (rules.string.min_len or rules.repeated.min_items)) or bool(rules.required)


def _schema(field: Field, schemas: dict[str, Any], *, rules: bool) -> dict[str, Any]:
    found = _rules(field) if rules else validate_pb2.FieldRules()
    if is_map(field):
        inner = _scalar(value_field(field), found.map.values)
        return {"type": "object", "additionalProperties": inner, **_limits(found.map, "max_pairs", "maxProperties")}
    if not field.is_repeated:
        return _item(field, found, schemas, rules=rules)
    inner = _item(field, found.repeated.items, schemas, rules=rules)
    bounds = {**_limits(found.repeated, "min_items", "minItems"), **_limits(found.repeated, "max_items", "maxItems")}
    return {"type": "array", "items": inner, **bounds, **({"uniqueItems": True} if found.repeated.unique else {})}


def _item(field: Field, found: Any, schemas: dict[str, Any], *, rules: bool) -> dict[str, Any]:
    if field.message_type is not None:
        return _message(field.message_type, schemas, rules=rules)
    return _scalar(field, found)


def _scalar(field: Field, found: Any) -> dict[str, Any]:
    kind = _TYPES[field.cpp_type]
    schema: dict[str, Any] = {"type": kind}
    if kind == "string":
        # A byte limit is said as characters; the door counts the bytes of UTF-8.
        schema |= {**_limits(found.string, "min_len", "minLength"), **_limits(found.string, "max_bytes", "maxLength")}
        schema |= {"pattern": found.string.pattern} if found.string.pattern else {}
    elif kind in ("integer", "number"):
        numbers = getattr(found, {"integer": "int64", "number": "double"}[kind])
        numbers = found.int32 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else numbers
        schema |= {**_limits(numbers, "gte", "minimum"), **_limits(numbers, "lte", "maximum")}
    return schema


def _limits(rules: Any, name: str, keyword: str) -> dict[str, Any]:
    return {keyword: getattr(rules, name)} if rules.HasField(name) else {}


def as_json(found: Mapping[str, Any]) -> bytes:
    """The document as it is served."""
    return json.dumps(found, indent=1, allow_nan=False).encode()


def as_page(found: Mapping[str, Any]) -> bytes:
    """The document as one page of HTML; it has no script, shows offline, and gives a browser nothing to run."""
    parts = ["<!doctype html><meta charset=utf-8><title>Snowmelt</title><style>body{font:16px/1.5 system-ui;",
             "max-width:60rem;margin:2rem auto;padding:0 1rem}",
             "pre{background:#f4f4f4;padding:1rem;overflow:auto}</style>",
             "<h1>Snowmelt</h1><p>The document for machines: <a href=/openapi.json>openapi.json</a></p>"]  # fmt: skip
    for path, verbs in found["paths"].items():
        for verb, operation in verbs.items():
            shown = {"parameters": operation["parameters"], "body": operation.get("requestBody", {})}
            heading = html.escape(f"{verb.upper()} {path}")
            parts.append(f"<h2>{heading}</h2><pre>{html.escape(json.dumps(shown, indent=1))}</pre>")
    for name, schema in found["components"]["schemas"].items():
        parts.append(f"<h3 id={name}>{name}</h3><pre>{html.escape(json.dumps(schema, indent=1))}</pre>")
    return "\n".join(parts).encode()
