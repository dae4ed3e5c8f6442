"""Holds docs/openapi.json to OpenAPI 3.1, and each example in it to its schema."""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())


def resolved(value):
    """What a reference leads to, or the value itself."""
    while "$ref" in value and len(value) == 1:
        target = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def media(value, path=""):
    """Everything with a schema and examples: bodies and answers."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from media(item, f"{path}/{index}")
    elif isinstance(value, dict):
        for name, content in value.get("content", {}).items():
            yield f"{path} {name}", content
        for name, item in value.items():
            yield from media(item, f"{path}/{name}")


def main():
    faults = [f"{error.json_path}: {error.message}" for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()]
    shown = 0
    for place, content in media(DOCUMENT):
        # Beside the components that its references name.
        schema = {"components": DOCUMENT["components"], **content["schema"]}
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        examples = [resolved(example)["value"] for example in content.get("examples", {}).values()]
        if "example" in content:
            examples.append(content["example"])
        shown += len(examples)
        for example in examples:
            faults += [f"{place}: {error.json_path}: {error.message}" for error in validator.iter_errors(example)]
    if faults:
        sys.exit("\n".join(faults))
    print(f"docs/openapi.json: valid, and so are its {shown} examples")


main()
