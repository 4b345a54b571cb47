"""``/openapi.json``, and ``/docs``: the same as one page that loads nothing from anywhere else."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from understudy.api.contract import operations

OPENAPI_PATH = "/openapi.json"

router = APIRouter(include_in_schema=False)

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1f24;background:#fff}
section{border-top:1px solid #d8dee4;padding:.75rem 0}h2{margin-top:2.5rem;text-transform:capitalize}
code{font:14px ui-monospace,monospace}b.method{display:inline-block;min-width:4.5rem}
pre{overflow:auto;background:#f6f8fa;padding:.75rem;border-radius:6px}
@media(prefers-color-scheme:dark){
body{color:#e6edf3;background:#0d1117}section{border-color:#30363d}pre{background:#161b22}}
"""


@router.get("/docs")
async def page(request: Request) -> HTMLResponse:
    """Show every operation."""
    app: FastAPI = request.app
    schema = app.openapi()
    parts = [f"<h1>{escape(schema['info']['title'])} {escape(schema['info']['version'])}</h1>"]
    parts += [f"<p>{escape(line)}</p>" for line in schema["info"]["description"].strip().splitlines()]
    parts.append(f'<p>Machine-readable: <a href="{OPENAPI_PATH}">{OPENAPI_PATH}</a></p>')
    tag = None
    for path, method, operation in operations(schema):
        if operation.get("tags", [""])[0] != tag:
            tag = operation.get("tags", [""])[0]
            parts.append(f"<h2>{escape(tag)}</h2>")
        parts.append(_section(path, method, operation, schema))
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Understudy API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{"".join(parts)}</html>'
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _section(path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    parts = [
        f'<section><b class="method">{method.upper()}</b> <code>{escape(path)}</code>',
        f" {'&#128274;' if operation.get('security') else ''}",
        f"<div>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</div>",
    ]
    fields = [
        f"{item['name']} ({item['in']}{', required' if item.get('required') else ''})"
        for item in operation.get("parameters", [])
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
        model = schema.get("components", {}).get("schemas", {}).get(name, {})
        required = set(model.get("required", []))
        fields += [
            f"{field} (body{', required' if field in required else ''})"
            for field in model.get("properties", {})
        ]
        fields.append(f"as {kind}")
    fields += [
        f"{status}: {response.get('description', '')}" for status, response in operation["responses"].items()
    ]
    parts.append(f"<pre>{escape(chr(10).join(fields))}</pre>")
    parts.append("</section>")
    return "".join(parts)
