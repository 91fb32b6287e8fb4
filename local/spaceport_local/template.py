"""The SAM template as data: read it, and make of it what the engine deploys without `sam build`."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spaceport.errors import UserError

FUNCTION, LAYER = "AWS::Serverless::Function", "AWS::Serverless::LayerVersion"
STATE_MACHINE = "AWS::Serverless::StateMachine"
DEFAULT_RUNTIME = "python3.12"
NOT_CODE = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold: the same files, the same bytes

Document = dict[str, Any]
# Stores bytes under a name; returns where they are, as CodeUri and DefinitionUri take it.
Store = Callable[[str, bytes], Document]


@dataclass(frozen=True)
class Template:
    """A template and the folder that its local paths are relative to."""

    document: Document
    folder: Path

    @property
    def parameters(self) -> dict[str, Document]:
        return dict(self.document.get("Parameters", {}))

    @property
    def runtimes(self) -> set[str]:
        """The runtimes of its functions, `python3.12`."""
        default = self._global("Runtime", DEFAULT_RUNTIME)
        return {
            function.get("Properties", {}).get("Runtime", default) for _, function in self._of_type(FUNCTION)
        }

    def image_defaults(self) -> Iterator[str]:
        """The default values of the parameters that name a job's image."""
        for name, parameter in self.parameters.items():
            if name.endswith("ImageUri"):
                yield str(parameter.get("Default", ""))

    def packaged(self, store: Store) -> Document:
        """The template as the engine deploys it: code and definitions stored, layers left out.

        Raises:
            UserError: `missing_code`, when a path of the template is not there.
        """
        document = copy.deepcopy(self.document)
        packaged = Template(document, self.folder)
        layers = {name for name, _ in packaged._of_type(LAYER)}
        resources = document.get("Resources", {})
        for name in layers:
            del resources[name]
        document["Outputs"] = {
            name: output
            for name, output in document.get("Outputs", {}).items()
            if not _names(output) & layers
        }
        default_code = packaged._global("CodeUri", None)
        for section in (document.get("Globals", {}).get("Function", {}), *packaged._functions()):
            section.pop("Layers", None)
        document.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
        for logical_id, function in packaged._of_type(FUNCTION):
            properties = function.setdefault("Properties", {})
            code = properties.get("CodeUri", default_code)
            if isinstance(code, str) and "InlineCode" not in properties and not code.startswith("s3://"):
                folder = self._existing(code, f"{logical_id}.CodeUri")
                properties["CodeUri"] = store(f"{logical_id}.zip", zip_folder(folder))
        for logical_id, machine in packaged._of_type(STATE_MACHINE):
            properties = machine.setdefault("Properties", {})
            definition = properties.get("DefinitionUri")
            if isinstance(definition, str) and not definition.startswith("s3://"):
                file = self._existing(definition, f"{logical_id}.DefinitionUri")
                properties["DefinitionUri"] = store(file.name, file.read_bytes())
        return document

    def _functions(self) -> Iterator[Document]:
        for _, function in self._of_type(FUNCTION):
            yield function.setdefault("Properties", {})

    def _of_type(self, kind: str) -> list[tuple[str, Document]]:
        resources = self.document.get("Resources", {})
        return [(name, resource) for name, resource in resources.items() if resource.get("Type") == kind]

    def _global(self, name: str, default: Any) -> Any:
        return self.document.get("Globals", {}).get("Function", {}).get(name, default)

    def _existing(self, path: str, where: str) -> Path:
        found = self.folder / path
        if not found.exists():
            raise UserError(
                "missing_code",
                f"The template's {where} is {path}, which is not there.",
                f"Looked for {found}.",
            )
        return found


def read_template(file: Path) -> Template:
    """Read a template with CloudFormation's short forms (`!Ref x`).

    Raises:
        UserError: `bad_template`, with the place of the mistake.
    """
    try:
        document = yaml.load(file.read_text(), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError("bad_template", f"{file} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise UserError("bad_template", f"{file} is not a CloudFormation template.")
    return Template(document, file.parent)


def zip_folder(folder: Path) -> bytes:
    """A zip of the folder's files whose bytes depend on names and contents only."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder)
            if not file.is_file() or any(part in NOT_CODE for part in inside.parts):
                continue
            entry = zipfile.ZipInfo(inside.as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return packed.getvalue()


def fingerprint(*parts: Any) -> str:
    """A digest of JSON-like data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags, and dates left as text (a template's version is one)."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Document:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def _names(value: Any) -> set[str]:
    """The logical ids that `Ref` and `GetAtt` name in a part of a template."""
    if isinstance(value, list):
        return set().union(*(_names(item) for item in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set().union(*(_names(item) for item in value.values())) if value else set()
    if "Ref" in value:
        found.add(str(value["Ref"]))
    if "Fn::GetAtt" in value:
        attribute = value["Fn::GetAtt"]
        found.add(attribute[0] if isinstance(attribute, list) else str(attribute).partition(".")[0])
    return found
