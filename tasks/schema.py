"""JSON Schema of answers: as a user writes it, or as the gold answers show it; what breaks it, and its form in a line.

Schemas of any draft are checked by `jsonschema`; formats such as `date` count. It fetches no schema from elsewhere.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..signatures.errors import UsageError

FEW, OFTEN = 12, 10
"""Texts are an enum where they have at most so many values, each of which comes so often on average, and three times at least."""
MANY = 12
"""Names of fields from which on an object is a map of names to values, where none of them is always there."""
SECONDS = 1.0
"""Limit of a pattern on one text."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array", dict: "object"}


def given(setting: Mapping[str, Any] | str) -> dict[str, Any]:
    """The schema of `table.schema`, itself or a path. Raises UsageError."""
    import jsonschema

    where = "table.schema"
    if isinstance(setting, str):
        where = f"table.schema {setting}"
        try:
            setting = json.loads(Path(setting).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            why = getattr(error, "strerror", None) or f"not JSON: {' '.join(str(error).split())[:80]}"
            raise UsageError(f"{where} cannot be read ({why}); give a JSON Schema, or the path of a .json file with one") from None
    if not isinstance(setting, Mapping):
        raise UsageError(f"{where} is a {type(setting).__name__}, not an object; give a JSON Schema")
    schema = dict(setting)
    try:
        jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        place = f" at {error.json_path}" if error.path else ""
        raise UsageError(f"{where} is not a JSON Schema: {error.message[:160]}{place}; mend it") from None
    return schema


def fault(schema: Mapping[str, Any], value: Any) -> str:
    """What of a value breaks the schema, and where; empty: nothing does. Raises UsageError for a schema that points elsewhere."""
    import referencing

    try:
        error = first_error(schema, value, formats=True)
    except referencing.exceptions.Unresolvable as missing:
        raise UsageError(f"table.schema points to {str(missing)[:100]}, which is not in it; put that under its $defs") from None
    if error is None:
        return ""
    message = error.message if len(error.message) <= 200 else f"{error.message[:60]} [...] {error.message[-120:]}"
    return message if error.json_path == "$" else f"{error.json_path[2:] if error.json_path[1] == '.' else error.json_path[1:]}: {message}"


def first_error(schema: Mapping[str, Any], value: Any, formats: bool = False) -> Any:
    """jsonschema's error that says most, None for a value that keeps the schema. Schemas and values may be written by anybody: nothing is
    fetched from elsewhere, and a pattern may take SECONDS. Raises what `jsonschema` and `regex` raise for what is not a schema."""
    import jsonschema
    import referencing

    cls = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    checker = _bounded(cls)(schema, registry=referencing.Registry(), format_checker=cls.FORMAT_CHECKER if formats else None)
    return jsonschema.exceptions.best_match(checker.iter_errors(value))


@cache
def _bounded(cls: Any) -> Any:
    """The validator with a limit on the time of a pattern."""
    import jsonschema
    import regex

    def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
        try:
            if validator.is_type(value, "string") and not regex.search(wanted, value, timeout=SECONDS):
                yield jsonschema.ValidationError(f"{value!r} does not match {wanted!r}")
        except TimeoutError:
            yield jsonschema.ValidationError(f"the pattern {wanted!r} took longer than {SECONDS:g} s")

    return jsonschema.validators.extend(cls, {"pattern": pattern})


def inferred(values: Sequence[Any]) -> dict[str, Any]:
    """The schema that all values keep: types, fields that are always there, dates, and enums where few texts repeat. Fields stand in the
    order in which the values have them."""
    types = sorted({_TYPES[type(one)] for one in values}, key=lambda kind: (kind == "null", kind))
    types = [one for one in types if one != "integer" or "number" not in types]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types} if types else {}
    if objects := [one for one in values if isinstance(one, dict)]:
        schema |= _fields(objects)
    if lists := [one for one in values if isinstance(one, list)]:
        items = [inner for one in lists for inner in one]
        schema |= {"items": inferred(items)} if items else {}
    if texts := [one for one in values if isinstance(one, str)]:
        counts = Counter(texts)
        if all(map(_DATE.fullmatch, texts)):
            schema["format"] = "date"
        elif set(types) <= {"string", "null"} and len(counts) <= FEW and len(texts) >= OFTEN * len(counts) and min(counts.values()) > 2:
            schema["enum"] = sorted(counts) + ([None] if "null" in types else [])
    return schema


def _fields(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names: list[str] = []
    for one in objects:
        place = 0
        for name in one:
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    counts = Counter(name for one in objects for name in one)
    required = [name for name in names if counts[name] == len(objects)]
    if not required and len(names) >= MANY:
        return {"additionalProperties": inferred([inner for one in objects for inner in one.values()])}
    properties = {name: inferred([one[name] for one in objects if name in one]) for name in names}
    return {"properties": properties, "required": required, "additionalProperties": False}


def ordered(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value with the fields of its objects in the schema's order, those that it does not name behind them."""
    if isinstance(value, dict):
        names = schema.get("properties") or {}
        rest = schema.get("additionalProperties") or {}
        first = [name for name in names if name in value]
        return {name: ordered(value[name], names.get(name, rest)) for name in [*first, *(name for name in value if name not in names)]}
    return [ordered(one, schema.get("items") or {}) for one in value] if isinstance(value, list) else value


def numbers(values: Sequence[Any]) -> dict[str, set[type]]:
    """Place of a number, e.g. `.items[].price` -> how golds write it there: as int, as float, or both."""
    found: dict[str, set[type]] = {}

    def look(value: Any, place: str) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                look(one, f"{place}.{name}")
        elif isinstance(value, list):
            for one in value:
                look(one, f"{place}[]")
        elif type(value) in (int, float):
            found.setdefault(place, set()).add(type(value))

    for value in values:
        look(value, "")
    return found


def numbered(value: Any, written: Mapping[str, set[type]], place: str = "") -> Any:
    """The value with a whole number as 18 or 18.0, where the golds (`numbers`) write it in one of these ways alone."""
    if isinstance(value, dict):
        return {name: numbered(one, written, f"{place}.{name}") for name, one in value.items()}
    if isinstance(value, list):
        return [numbered(one, written, f"{place}[]") for one in value]
    if type(value) is int and written.get(place) == {float} and abs(value) < 2**53:
        return float(value)
    return int(value) if type(value) is float and written.get(place) == {int} and value.is_integer() else value


def sketch(schema: Mapping[str, Any] | bool) -> str:
    """The form of a value in a line: {"name": text, "items": [{"count": integer}, ...], "date"?: "YYYY-MM-DD"}."""
    if not isinstance(schema, Mapping) or not schema:
        return "any value"
    if "enum" in schema or "const" in schema:
        return " or ".join(json.dumps(one, ensure_ascii=False) for one in schema.get("enum", [schema.get("const")]))
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(sketch, either))
    types = schema.get("type")
    if not types:
        return json.dumps(schema, ensure_ascii=False)
    return " or ".join(_one(kind, schema) for kind in ([types] if isinstance(types, str) else types))


def _one(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "object" and (properties := schema.get("properties")):
        needed = schema.get("required", [])
        inner = (
            f"{json.dumps(name, ensure_ascii=False)}{'' if name in needed else '?'}: {sketch(one)}" for name, one in properties.items()
        )
        return f"{{{', '.join(inner)}}}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{{name: {sketch(schema['additionalProperties'])}, ...}}"
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return f"[{sketch(schema['items'])}, ...]"
    return {"string": '"YYYY-MM-DD"' if schema.get("format") == "date" else "text", "array": "list"}.get(kind, kind)
