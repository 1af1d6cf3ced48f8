"""The description of the API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made from the tables the code uses."""

from __future__ import annotations

from typing import Any, Final

from emwatch import __version__
from emwatch.frame import CATEGORIES, ReviewVerdict
from emwatch.web.asking import FILTERS

_TEXT: Final = {"type": "string"}
#: The schema of each kind of filter.
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "category": {"type": "array", "items": {"enum": list(CATEGORIES)}},
    "flag": {"enum": ["0", "1"]},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
}
_FILTERS: Final[dict[str, dict[str, Any]]] = {
    **{each.key: {"schema": _KINDS.get(each.kind, _TEXT), "description": each.about} for each in FILTERS},
    "state": {"schema": {"enum": ["recorded", "failed", "all"]}, "description": "What became of the file."},
}
_ID: Final = {"name": "frame_id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
_REVIEW: Final = {
    "type": "object",
    "required": ["frames", "verdict"],
    "properties": {
        "frames": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 500},
        "verdict": {"enum": [each.value for each in ReviewVerdict]},
        "category": {"enum": list(CATEGORIES)},
        "note": {"type": "string", "maxLength": 1000},
    },
}


_NUMBERS: Final = {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 100}
_LESSON: Final = {
    "type": "object",
    "required": ["name", "wanted"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "wanted": _NUMBERS,
        "unwanted": _NUMBERS,
        "keep": {"type": "boolean", "description": "Write it beside the ledger; else only show what it would find."},
    },
}
_FILTERS_TARGET: Final = {"name": "target", "in": "query", "schema": _TEXT, "description": "Only of this target."}
_ABOUT_ALERTS: Final = {
    "type": "object",
    "required": ["do", "target"],
    "properties": {
        "do": {"enum": ["snooze", "acknowledge"]},
        "target": {"type": "string", "description": "A target, to snooze a configured one; empty for all."},
        "minutes": {"type": "integer", "minimum": 0, "maximum": 43200, "description": "To snooze; 0 ends it."},
        "up_to": {"type": "integer", "minimum": 0, "description": "To acknowledge: no alert with a higher number."},
    },
}


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    filters = [{"name": name, "in": "query", **facts} for name, facts in _FILTERS.items()]
    paging = [
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
        {"name": "before", "in": "query", "schema": _TEXT, "description": "As the page before gave it."},
    ]
    size = {"name": "size", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 99999}}
    axes = {"name": "axes", "in": "query", "schema": {"enum": ["stage", "sample"]}}
    bar = {"name": "scale_bar", "in": "query", "schema": {"enum": ["0", "1"]}}
    version = {"name": "v", "in": "query", "schema": _TEXT, "description": "The frame's picture_version, for caching."}
    upload = {
        "type": "object",
        "required": ["picture"],
        "properties": {"picture": {"type": "string", "format": "binary"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "emwatch", "version": __version__},
        "servers": [{"url": "/api/v1"}],
        "paths": {
            "/frames": {"get": _operation("Rows of the log, the newest first.", [*filters, *paging], 400)},
            "/frames/count": {"get": _operation("How many rows a filter has.", filters, 400)},
            "/frames/{frame_id}": {"get": _operation("All that is known of a frame.", [_ID], 404)},
            "/frames/{frame_id}/similar": {"get": _operation("The frames that look most like it.", [_ID], 404, 422)},
            "/frames/{frame_id}/picture": {
                "get": _operation("The frame as JPEG.", [_ID, size, bar, version], 400, 404, 422, kind="image/jpeg")
            },
            "/map": {"get": _operation("Where on the stage frames were taken.", [*filters, axes], 400)},
            "/events": {
                "get": _operation("New frames, targets and status as server-sent events.", [], kind="text/event-stream")
            },
            "/status": {"get": _operation("How emwatch is.", [])},
            "/targets": {"get": _operation("Targets, and when they were last met.", [])},
            "/targets/learn": {
                "post": _operation("Learn a target from frames of the log.", [], 400, 403, 422, 429)
                | {"requestBody": {"required": True, "content": {"application/json": {"schema": _LESSON}}}}
            },
            "/alerts": {
                "get": _operation("Alerts, the newest first.", [_FILTERS_TARGET, paging[0]], 400),
                "post": _operation("Snooze or acknowledge alerts.", [], 400, 403, done=202)
                | {"requestBody": {"required": True, "content": {"application/json": {"schema": _ABOUT_ALERTS}}}},
            },
            "/choices": {"get": _operation("What filters can name.", [])},
            "/reviews": {
                "post": _operation("Review frames.", [], 400, 403, 404, done=202)
                | {"requestBody": {"required": True, "content": {"application/json": {"schema": _REVIEW}}}}
            },
            "/ask": {
                "post": _operation("Category and metadata of an uploaded picture.", [], 400, 403, 413, 422, 429)
                | {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": upload}}}}
            },
        },
    }


def _operation(
    text: str, parameters: list[dict[str, Any]], *errors: int, done: int = 200, kind: str = "application/json"
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if kind == "application/json" else _TEXT
    responses: dict[str, Any] = {str(done): {"description": text, "content": {kind: {"schema": schema}}}}
    error = {"application/json": {"schema": {"type": "object", "required": ["error"]}}}
    for status in sorted({*errors, 503}):
        responses[str(status)] = {"description": "The error, with what to do.", "content": error}
    return {"summary": text, "parameters": parameters, "responses": responses}
