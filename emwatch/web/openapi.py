"""The description of the API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made from the tables the code uses."""

from __future__ import annotations

from typing import Any, Final

from emwatch import __version__
from emwatch.frame import CATEGORIES, ReviewVerdict

_TEXT: Final = {"type": "string"}
_FILTERS: Final[dict[str, dict[str, Any]]] = {
    "category": {
        "schema": {"type": "array", "items": {"enum": list(CATEGORIES)}},
        "description": "Likeliest category.",
    },
    "target": {"schema": _TEXT, "description": "Frames that met this target."},
    "hits": {"schema": {"enum": ["0", "1"]}, "description": "Frames that met any target (1) or none (0)."},
    "min_probability": {
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
        "description": "At least so probable.",
    },
    "max_probability": {
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
        "description": "At most so probable.",
    },
    "magnification": {"schema": _TEXT, "description": "A range: 5k..20k, 1000.. or ..5000."},
    "tilt": {"schema": _TEXT, "description": "Stage tilt in degrees, a range."},
    "since": {"schema": _TEXT, "description": "Recorded since: 2h, today, 2026-11-23, an ISO time."},
    "until": {"schema": _TEXT, "description": "Recorded until; a day means its end."},
    "session": {"schema": _TEXT, "description": "A session by its name or number, or last."},
    "path": {"schema": _TEXT, "description": "Glob over the file name, or with a / over the path."},
    "reviewed": {"schema": {"enum": ["0", "1"]}, "description": "Whether a person reviewed it."},
    "uncertain": {"schema": {"enum": ["0", "1"]}, "description": "Whether the model is unsure."},
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


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    filters = [{"name": name, "in": "query", **facts} for name, facts in _FILTERS.items()]
    paging = [
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
        {"name": "before", "in": "query", "schema": _TEXT, "description": "As the page before gave it."},
    ]
    size = {"name": "size", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 99999}}
    bar = {"name": "scale_bar", "in": "query", "schema": {"enum": ["0", "1"]}}
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
            "/frames/{frame_id}/picture": {
                "get": _operation("The frame as JPEG.", [_ID, size, bar], 400, 404, 422, kind="image/jpeg")
            },
            "/events": {"get": _operation("New frames as server-sent events.", [], kind="text/event-stream")},
            "/status": {"get": _operation("How emwatch is.", [])},
            "/targets": {"get": _operation("Targets, and when they were last met.", [])},
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
