"""A page for people out of the OpenAPI document: every endpoint, its parameters, its body, its answers, a curl line."""

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

WHO = {"deviceKey": "device key", "token": "token", "enrollment": "enrolment token"}
CREDENTIALS = {"deviceKey": "X-API-Key: $KEY", "token": "Authorization: Bearer $TOKEN"}
LIMITS = {"default": "default", "minimum": "from", "maximum": "to", "maxLength": "up to", "maxItems": "up to"}
"""What is told of a schema beside its type, and in which words."""


def render(document: Schema) -> str:
    """The page; it needs nothing from outside and no script."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation["tags"][0]
            groups.setdefault(tag, []).append(_operation(method.upper(), path, operation, document))
    contents = " · ".join(f'<a href="#{tag}">{tag}</a>' for tag in groups)
    sections = "".join(f'<h2 id="{tag}">{tag}</h2>{"".join(parts)}' for tag, parts in groups.items())
    return (
        PAGE.replace("CONTENTS", contents).replace("SECTIONS", sections).replace("VERSION", document["info"]["version"])
    )


def _operation(method: str, path: str, operation: Schema, document: Schema) -> str:
    head = (
        f'<summary><code class="method {method}">{method}</code> <code class="path">{_text(path)}</code>'
        f'<span class="who">{_who(operation)}</span><span class="what">{_prose(operation["summary"])}</span></summary>'
    )
    parts = [f"<p>{_prose(operation['description'])}</p>"] if "description" in operation else []
    parts += _parameters(operation.get("parameters", ()))
    parts += _body(operation.get("requestBody"), document)
    parts.append(f"<pre>{_text(_curl(method, path, operation, document))}</pre>")
    parts += _answers(operation["responses"], document)
    return f'<details id="{operation["operationId"]}">{head}{"".join(parts)}</details>'


def _who(operation: Schema) -> str:
    if not operation["security"] or {} in operation["security"]:
        return "anyone"
    ways = [" and ".join(WHO[scheme] for scheme in way) for way in operation["security"]]
    scope = f" ({operation['x-scope']})" if "x-scope" in operation else ""
    return _text(" or ".join(ways) + scope)


def _parameters(parameters: Any) -> Iterator[str]:
    if not parameters:
        return
    rows = "".join(
        f"<tr><td><code>{_text(one['name'])}</code></td><td>{one['in']}</td><td>{_kind(one['schema'])}</td>"
        f"<td>{_note(one['schema'])}</td></tr>"
        for one in parameters
    )
    yield f"<h3>Parameters</h3><table>{rows}</table>"


def _body(body: Schema | None, document: Schema) -> Iterator[str]:
    if body is None:
        return
    yield f"<h3>Body: {_text(', '.join(body['content']))}</h3>"
    yield _fields(_resolved(body["content"]["application/json"]["schema"], document), document)


def _answers(responses: Schema, document: Schema) -> Iterator[str]:
    done = next(iter(responses.values()))
    for schema in (content["schema"] for content in done.get("content", {}).values()):
        fields = _fields(_resolved(schema, document), document)
        yield f"<h3>Answer</h3>{fields}" if fields else ""
    rows = "".join(
        f"<tr><td><code>{status}</code></td><td>{_prose(one['description'])}</td></tr>"
        for status, one in responses.items()
    )
    yield f"<h3>Statuses</h3><table>{rows}</table>"


def _fields(schema: Schema, document: Schema) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(name)}</code>{'' if name in schema.get('required', ()) else ' <i>optional</i>'}</td>"
        f"<td>{_kind(_resolved(one, document))}</td><td>{_note(one)}</td></tr>"
        for name, one in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _resolved(schema: Schema, document: Schema) -> Schema:
    """The schema behind a reference; of several alternatives the first, the others are said in the description."""
    if "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    choices = schema.get("anyOf", ())
    return _resolved(choices[0], document) if choices and "properties" not in schema else schema


def _kind(schema: Schema) -> str:
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if "type" not in schema and choices:
        return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
    kinds = schema.get("type", "object" if "$ref" in schema else "any")
    words = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return _text(" | ".join(map(str, words)) if words else text)


def _note(schema: Schema) -> str:
    known = [
        ("default", "default"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("maxLength", "up to"),
        ("maxItems", "up to"),
    ]
    limits = [
        f"{word} <code>{_text(json.dumps(schema[key]))}</code>" for key, word in known if schema.get(key, "") != ""
    ]
    examples = [f"<code>{_text(str(example))}</code>" for example in schema.get("examples", ())]
    description = [_prose(schema["description"])] if "description" in schema else []
    return "; ".join([*description, *limits, *(["e.g. " + ", ".join(examples)] if examples else [])])


def _curl(method: str, path: str, operation: Schema, document: Schema) -> str:
    lines = [f"curl -X {method} $URL{path.replace('{device_id}', '1')}" if method != "GET" else f"curl $URL{path}"]
    schemes = [scheme for way in operation["security"] for scheme in way if scheme in CREDENTIALS]
    if schemes and {} not in operation["security"]:
        lines.append(
            f"-H '{CREDENTIALS[schemes[0]]}'"
            if "$" not in CREDENTIALS[schemes[0]]
            else f'-H "{CREDENTIALS[schemes[0]]}"'
        )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(_example(body, document))}'"]
    return " \\\n  ".join(lines)


def _example(body: Schema, document: Schema) -> Any:
    if "examples" in body:
        return next(iter(body["examples"].values()))["value"]
    schema = _resolved(body["schema"], document)
    names = schema.get("required") or list(schema["properties"])[:1]
    return {name: _sample(_resolved(schema["properties"][name], document)) for name in names}


def _sample(schema: Schema) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    samples = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    kind = schema.get("type", "string")
    return samples[kind if isinstance(kind, str) else kind[0]]


def _text(text: str) -> str:
    return html.escape(text, quote=False)


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>IoTFlow API</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .3rem}code,pre{font:14px ui-monospace,monospace}
details{border-bottom:1px solid #ddd}details>:not(summary){margin-left:1.5rem}
summary{display:grid;grid-template-columns:5rem minmax(16rem,24rem) 1fr;gap:.2rem .8rem;padding:.5rem .2rem}
summary{cursor:pointer}
summary:hover{background:#8881}.what{grid-column:2/4;color:#555}.who{text-align:right;color:#777;font-size:.85rem}
.path{font-weight:600;overflow-wrap:anywhere}
.method{text-align:center;border-radius:.3rem;color:#fff;background:#27c;align-self:start}
.POST{background:#184}.PUT{background:#a60}.DELETE{background:#b22}
table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top;font-size:.95rem}
pre{background:#8881;padding:.8rem;overflow-x:auto;border-radius:.3rem}i{color:#888;font-size:.85rem}
@media(max-width:45rem){summary{display:block}.who{display:block;text-align:left}}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}details{border-color:#333}a{color:#8ab4f8}
.what{color:#bbb}.who{color:#999}}
</style></head><body><h1>IoTFlow API VERSION</h1>
<p>Devices send <code>X-API-Key: KEY</code>, people and programs <code>Authorization: Bearer TOKEN</code>. Every error
is <code>{"error", "message", "code", "request_id"}</code>, with <code>field</code>, <code>limit</code> and
<code>retry_after</code> where they apply. Times are ISO 8601 UTC. The same for machines:
<a href="/openapi.json">openapi.json</a>.</p>
<p>CONTENTS</p>SECTIONS</body></html>
"""
