"""The description of the HTTP interface (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from imgloc.serving.limits import Limits

REFUSALS = {
    400: "The body is not an image that can be read.",
    408: "The upload took too long.",
    413: "The body has too many bytes, or the image has too many pixels.",
    415: "The body is a form; the bytes of the image alone are expected.",
    429: "Too many images wait; try again later.",
    500: "The prediction failed.",
    503: "The prediction took too long, or the server holds too many uploads.",
}


def description(version: str, task: str, summary: str, limits: Limits) -> dict[str, Any]:
    """The document for a model of a task, whose `summary` completes "predicts ..."."""
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    answer = {"description": f"The answer of the task `{task}`, as `imgloc locate` prints it; boxes are x0, y0, x1, y1 in pixels."}
    image = {"schema": {"type": "string", "contentMediaType": "application/octet-stream", "maxLength": limits.bytes}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "imgloc", "version": version, "description": "Predict what is in an image and where."},
        "paths": {
            "/v1/locate": {
                "post": {
                    "summary": f"Predict {summary}",
                    "operationId": "locate",
                    "requestBody": {
                        "description": f"The bytes of an image file, at most {limits.bytes} bytes and {limits.pixels} pixels.",
                        "required": True,
                        "content": {"image/*": image, "application/octet-stream": image},
                    },
                    "responses": {
                        "200": {**answer, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
                        **{str(status): {"description": meaning, "content": refusal} for status, meaning in REFUSALS.items()},
                    },
                }
            },
            "/v1/model": _get("The name, the task, the classes and the input size of the model"),
            "/healthz": _get("Whether the server accepts requests"),
            "/metrics": _get("Metrics in the text format of Prometheus", "text/plain"),
        },
        "components": {
            "schemas": {
                "Answer": {"type": "object", "properties": _properties()},
                "Refusal": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
            }
        },
    }


def _get(summary: str, kind: str = "application/json") -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": summary, "content": {kind: {}}}}}}


def _properties() -> dict[str, Any]:
    """The fields that answers of tasks have in common; a task may have others."""
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    one = {"class": {"type": "string"}, "score": {"type": "number"}, "box": box, "box_upright": box}
    objects = {"type": "array", "items": {"type": "object", "properties": one}}
    return {**one, "objects": objects, "orientation": {"type": "integer", "minimum": 2, "maximum": 8}}
