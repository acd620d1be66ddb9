"""YAML files at the edge: read without executing anything, checked with every fault named."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from groupnas.errors import InputError, shown
from groupnas.files import find_shipped, nearest, read_text, split_choice

LARGEST_YAML = (
    2**22
)  # bytes; ours have some thousands, and a parser takes a second for each million

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _Meta
else:  # the class has no public name
    _Meta = type(BaseModel)

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Refusing(_Meta):
    """The metaclass whose classes refuse a call with wrong values as they refuse a wrong file."""

    if not TYPE_CHECKING:  # for type checkers a call keeps pydantic's signature

        def __call__(cls, **given: Any) -> Any:
            return validate(cls, given, cls.__name__)


class Settings(BaseModel, metaclass=_Refusing):
    """A mapping in a settings file, or made in Python: no unknown keys, no numbers nobody meant.

    ``true`` is not 1, and 1 is not ``true``; no number is infinite. Single values of numpy and
    torch are taken for the Python numbers that they are.

    Raises:
        InputError: a name that there is not, or values out of range; all of them in one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        value = _plain(value)
        types = _leaves(cls, str(info.field_name))
        if types & {int, float} and bool not in types and _has_truth(value):
            raise PydanticCustomError("number", "expected a number")
        if types <= {bool, NoneType} and not isinstance(value, bool | None):
            raise PydanticCustomError("truth", "expected true or false")
        return value


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The data of a YAML file (plain values only: no tag is ever executed).

    Whole numbers are decimal, hexadecimal or binary, and fit 64 bits; what YAML 1.1 takes for an
    octal number (``0500``) or for minutes (``1:30``) is text.

    Raises:
        InputError: not readable, not YAML, or a key that stands twice; with the line.
    """
    text = read_text(path, LARGEST_YAML)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML: {str(error).splitlines()[0]}") from error
    except (ValueError, LookupError, AttributeError) as error:
        # What PyYAML lets out where a scalar is not of its tag: `2024-13-01`, `!!bool maybe`.
        raise InputError(f"{path}: is not YAML: a value cannot be read: {error}") from error


def read_preset(kind: str, name: str) -> tuple[Any, Path]:
    """The data of a settings file, with the preset that ``name:preset`` picks, and its path.

    A file's ``presets`` replace single settings of it, at every depth.

    Args:
        kind: A folder of shipped files, e.g. ``"strategies"``.
        name: As :func:`groupnas.files.find_shipped` takes it, with or without ``:preset``.

    Raises:
        InputError: no such file or preset, or not a mapping of settings.
    """
    name, preset = split_choice(kind, name)
    path = find_shipped(kind, name)
    data, presets = _settings(path)
    if preset is not None and preset not in presets:
        raise InputError(f"{path}: preset {preset!r}: {nearest(preset, presets)}")
    return data if preset is None else merged(data, presets[preset]), path


def preset_names(kind: str, name: str) -> list[str]:
    """The presets of a settings file, for lists; raises as :func:`read_preset`."""
    return list(_settings(find_shipped(kind, name))[1])


def _settings(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A settings file's own settings, and its presets."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of settings, got {shown(data)}")
    presets = data.pop("presets", {})
    if not isinstance(presets, dict) or not all(isinstance(p, dict) for p in presets.values()):
        raise InputError(f"{path}: presets: expected a mapping from names to settings")
    for name in presets:
        if not isinstance(name, str):  # `on:` and `1:` are none
            raise InputError(f"{path}: presets: {shown(name)} is no name; put it in quotes")
    return data, presets


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, setting by setting at every depth."""
    both = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        both[key] = value
    return both


def validate(model: type[ModelT], data: Any, origin: str) -> ModelT:
    """``data`` as ``model``; an :class:`InputError` lists every key at fault in one line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{origin}: {'; '.join(map(_one_fault, error.errors()))}") from error


# `Annotated[One[int] | Several[list[str]], EITHER]`: the value of a key says which of both is
# meant, so that a fault is told of that alone.
EitherT = TypeVar("EitherT")
ONE, SEVERAL = "|one", "|several"
One = Annotated[EitherT, Tag(ONE)]
Several = Annotated[EitherT, Tag(SEVERAL)]
EITHER = Discriminator(lambda value: SEVERAL if isinstance(value, (list, dict, BaseModel)) else ONE)


def _one_fault(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"] if part not in (ONE, SEVERAL))
    if fault["type"] == "value_error":  # ours: already names its key
        return ".".join(filter(None, [where, str(fault["ctx"]["error"])]))
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    if fault["type"] == "missing":
        return f"{where}: missing"
    got = "" if isinstance(fault["input"], (dict, list)) else f", got {shown(fault['input'])}"
    if fault["type"] == "string_type" and isinstance(fault["input"], bool):
        got += " (YAML's word for it; put it in quotes)"
    return f"{where or 'file'}: {fault['msg'][0].lower()}{fault['msg'][1:]}{got}"


def _plain(value: Any) -> Any:
    """A single value of numpy or torch as Python's own; others as they are."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _has_truth(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(map(_has_truth, value))
    return isinstance(value, bool)


@cache
def _leaves(model: type[BaseModel], name: str) -> frozenset[Any]:
    """The types that a field's annotation is made of, without their containers."""
    return frozenset(_types_of(model.model_fields[name].annotation))


def _types_of(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:  # of a Literal, whose arguments are values, too
        yield annotation if isinstance(annotation, type) else type(annotation)
    for argument in arguments:
        yield from _types_of(argument)


class _Loader(yaml.SafeLoader):
    """A SafeLoader without YAML 1.1's traps.

    A repeated key is an error, not the last one's victory. What a person reads as another number
    than YAML does stays text, so that it is refused where a number is needed, with its key.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:  # type: ignore[override]
        text = str(self.construct_scalar(node))
        digits = text.lstrip("+-")
        if ":" in digits or len(digits) > 66 or (digits[0] == "0" and digits[1:].isdecimal()):
            return text
        value = super().construct_yaml_int(node)
        return value if abs(value) < 2**63 else text

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:  # type: ignore[override]
        text = str(self.construct_scalar(node))
        return text if ":" in text else super().construct_yaml_float(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<`, whose keys others may replace
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain value", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
