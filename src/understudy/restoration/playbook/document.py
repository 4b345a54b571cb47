"""A YAML file that knows on which line each field stands, and what is wrong with it in those terms."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from understudy.errors import ConfigurationError

Location = tuple[str | int, ...]
#: Field that says which kind of rung a rung is.
_TAG = "action"
#: Levels of mappings and lists; the policy has six.
MOST_NESTED = 50
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file, and how to put it right."""

    file: Path
    line: int
    field: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.message}. {self.fix}"


@dataclass(slots=True)
class Document:
    """Parsed YAML with every field's line; ``problems`` holds what YAML itself hides (duplicate keys)."""

    path: Path
    data: Any
    lines: dict[Location, int]
    problems: list[Problem] = field(default_factory=list)
    sha256: str = ""

    def line(self, location: Location) -> int:
        """Line of the field, or of the nearest field around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def override(self, location: Location, value: object) -> None:
        """Replace a value where every field on the way exists; otherwise leave it for validation to name."""
        at = self.data
        for key in location[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at[location[-1]] = value


def read_document(path: Path) -> Document:
    """Parse ``path``.

    Raises
    ------
    ConfigurationError
        There is no such file, or it cannot be read.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(f"{path}: the playbook cannot be read: {reason}.") from error
    try:
        problems = _unread(path, text)
        if problems:
            return Document(path, None, {}, problems)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        message = str(getattr(error, "problem", None) or "not YAML")
        if not isinstance(error, yaml.YAMLError):
            message = f"holds a value that is none ({error})"
        problem = Problem(path, line, "(syntax)", message, "Correct the YAML around this line.")
        return Document(path, None, {}, [problem])
    document = Document(path, data, {}, sha256=hashlib.sha256(raw).hexdigest())
    if node is not None:
        for location, line, duplicate in _walk(node, ()):
            if duplicate:
                name = _dotted(location)
                document.problems.append(
                    Problem(path, line, name, "given twice", "Keep one; YAML would silently take the last.")
                )
            document.lines.setdefault(location, line)
    return document


def _unread(path: Path, text: str) -> list[Problem]:
    """Name what would hang or crash whoever composes it: references, and nesting without end."""
    problems, depth = [], 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        line = token.start_mark.line + 1
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken)):
            # A few lines of them are a billion values, or one that holds itself.
            name = f"{'&' if isinstance(token, yaml.AnchorToken) else '*'}{token.value}"
            message = "anchors and aliases are not read"
            problems.append(Problem(path, line, name, message, "Write the value out."))
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MOST_NESTED:  # each level costs the scanner all those before it
            fix = "Correct the YAML around this line."
            return [*problems, Problem(path, line, "(syntax)", "nested too deeply", fix)]
    return problems


def _walk(node: yaml.Node, at: Location) -> Iterator[tuple[Location, int, bool]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            location = (*at, key.value)
            yield location, key.start_mark.line + 1, key.value in seen
            seen.add(key.value)
            yield from _walk(value, location)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*at, index), item.start_mark.line + 1, False
            yield from _walk(item, (*at, index))


def problems_of(document: Document, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Translate pydantic's errors into file, line, field and fix, ordered by line."""
    problems = [_problem(document, dict(item), model) for item in error.errors()]
    return sorted(problems, key=lambda problem: problem.line)


def _problem(document: Document, item: dict[str, Any], model: type[BaseModel]) -> Problem:
    location: Location = _without_tags(document.data, item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    where = _dotted(location)
    if item["type"] == "value_error" and ": " in message:
        # Rules that span fields name theirs: "ladder: rungs must not fall".
        named, message = message.split(": ", 1)
        parts: Location = tuple(int(part) if part.isdigit() else part for part in named.split("."))
        if parts in document.lines:
            location, where = parts, _dotted(parts)
    match item["type"]:
        case "extra_forbidden":
            allowed = list(_fields(model, location[:-1], document.data))
            close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            message = "unknown key"
            fix = f"Did you mean {close[0]}?" if close else f"Remove it; allowed here: {', '.join(allowed)}."
        case "missing":
            message, fix = "missing", f"Add `{location[-1]}:` with its value."
        case "literal_error":
            fix = f"Found {item['input']!r}; write one of {item['ctx']['expected']}."
        case "union_tag_invalid":
            fix = f"Found {item['ctx']['tag']!r}; write one of {item['ctx']['expected_tags']}."
        case "union_tag_not_found":
            message, fix = "missing", f"Add `{_TAG}:` with the action it performs."
        case "finite_number":
            fix = f"Found {item['input']}; write a number, not infinity and not NaN."
        case "value_error":
            fix = "Correct it; the shipped playbooks/restoration.yaml is a valid example."
        case _:
            fix = f"Found {item['input']!r}; correct the value."
    return Problem(document.path, document.line(location), where or "(whole file)", message, fix)


def _without_tags(data: Any, location: Location) -> Location:
    """Leave out what pydantic adds to say which kind of rung it took a rung for."""
    at: Any = data
    clean: Location = ()
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(at, dict) and part not in at and part == at.get(_TAG) and not last:
            continue
        clean = (*clean, part)
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at = None
    return clean


def _fields(model: type[BaseModel], location: Location, data: Any) -> Iterator[str]:
    """Keys allowed where ``location`` is; of alternatives, those of the one that ``data`` names."""
    at = [model]
    for key in location:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            data = None
        if not isinstance(key, int):
            found = [
                _models(candidate.model_fields[key].annotation)
                for candidate in at
                if key in candidate.model_fields
            ]
            at = [item for models in found for item in models]
        if isinstance(data, dict) and isinstance(data.get(_TAG), str):
            at = [candidate for candidate in at if _takes(candidate, data[_TAG])] or at
    yield from dict.fromkeys(name for candidate in at for name in candidate.model_fields)


def _takes(model: type[BaseModel], tag: str) -> bool:
    tagged = model.model_fields.get(_TAG)
    return tagged is None or tag in get_args(tagged.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() else ascii(part)
            text += f".{name}" if text else name
    return text
