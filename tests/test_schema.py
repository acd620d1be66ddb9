"""groupnas.schema: YAML is data, never code, and what is wrong is named with its line."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

import groupnas
from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.saved import Saved
from groupnas.schema import Settings, preset_names, read_preset, read_yaml, validate


def read(folder: Path, contents: str | bytes) -> Any:
    file = folder / "file.yaml"
    file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return read_yaml(file)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("a: [1, 2.5, yes, null, text]", {"a": [1, 2.5, True, None, "text"]}),
        ("68: {outputs: {a: 1}}", {68: {"outputs": {"a": 1}}}),
        ("a: {x: 1}\nb: {x: 1}", {"a": {"x": 1}, "b": {"x": 1}}),  # the same key elsewhere
        ("a: &one {x: 1}\nb: *one", {"a": {"x": 1}, "b": {"x": 1}}),
        ("a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}", {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}}),
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: [0, -3, 0x1F, 0b101, 1_000]", {"a": [0, -3, 31, 5, 1000]}),
        # What YAML 1.1 takes for octal, for minutes and for what no machine counts in is text.
        ("a: [0500, -017, 1:30, 1:30.5, 00]", {"a": ["0500", "-017", "1:30", "1:30.5", "00"]}),
        (f"a: [{2**63 - 1}, {2**63}]", {"a": [2**63 - 1, str(2**63)]}),
        ("a: 0x" + "f" * 5000, {"a": "0x" + "f" * 5000}),
        ("a: " + "9" * 5000, {"a": "9" * 5000}),
    ],
)
def test_plain_values_are_read(tmp_path: Path, text: str, data: Any) -> None:
    assert read(tmp_path, text) == data


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("a: 1\nb: [", ":2: is not YAML: "),
        ("a: 1\n\tb: 2", ":2: is not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2", ":2: is not YAML: but found another document"),
        ("a: *x", ":1: is not YAML: found undefined alias 'x'"),
        ("a: 1\nb: 2\na: 3", ":3: is not YAML: key 'a' stands twice"),
        ("a:\n  - {x: 1, x: 1}", ":2: is not YAML: key 'x' stands twice"),
        ("1: a\n1.0: b", ":2: is not YAML: key 1.0 stands twice"),
        ("? [a]\n: 1", ":1: is not YAML: a key must be a plain value"),
        ("? {a: 1}\n: 1", ":1: is not YAML: a key must be a plain value"),
        ("? !!set {a}\n: 1", ":1: is not YAML: a key must be a plain value"),
        ("a: 2024-13-01", ": is not YAML: a value cannot be read: month must be in 1..12"),
        ("a: !!bool maybe", ": is not YAML: a value cannot be read: 'maybe'"),
        ("a: !!int ''", ": is not YAML: a value cannot be read: "),
        ("a: !!timestamp x", ": is not YAML: a value cannot be read: "),
        ("a: 0x_", ": is not YAML: a value cannot be read: "),
        ("a: " + "[" * 5000, ": is not YAML: maximum recursion depth exceeded"),
        ("a: \x01", ": is not YAML: unacceptable character #x0001"),
        (b"\xff\x00", ": is not a text file (byte 0)"),
    ],
)
def test_what_is_not_yaml_is_named(tmp_path: Path, contents: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, contents)
    assert str(error.value).startswith(str(tmp_path / "file.yaml") + message), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{}]]",
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
    ],
)
def test_no_tag_is_executed(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(InputError, match=":1: is not YAML: could not determine a constructor"):
        read(tmp_path, "a: " + text.format(trace))
    assert not trace.exists()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.yaml: cannot be read: No such file or directory"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.text(alphabet="ab:&*!{}[]<>,?-|'\"#%@ \n\t019._~", max_size=25))
def test_any_text_is_read_or_refused_with_its_name(tmp_path: Path, text: str) -> None:
    try:
        read(tmp_path, text)
    except InputError as error:
        assert str(error).startswith(str(tmp_path / "file.yaml"))


# -- presets ------------------------------------------------------------------------------------

RECIPE = """
title: Two stages
first: {epochs: 3, training: &training {lr: 0.1, betas: [0.9, 0.99]}}
second: {epochs: 4, training: *training}
presets:
  short: {first: {training: {lr: 0.2}}}
  other: {first: 5, third: {a: 1}}
"""


@pytest.fixture
def kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of settings files, one inside the other, with a file of the same name."""
    monkeypatch.chdir(tmp_path)
    for kind, text in (("kind", "title: Outer\n"), ("kind/inner", RECIPE)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "mine.yaml").write_text(text)
    return tmp_path


def test_a_file_is_read_without_its_presets(kinds: Path) -> None:
    data, path = read_preset("kind/inner", "mine")
    assert set(data) == {"title", "first", "second"}
    assert data["first"] == {"epochs": 3, "training": {"lr": 0.1, "betas": [0.9, 0.99]}}
    assert path == kinds / "kind/inner/mine.yaml"
    assert read_preset("kind", "mine")[0] == {"title": "Outer"}
    assert preset_names("kind/inner", "mine") == ["short", "other"]
    assert preset_names("kind", "mine") == []


def test_a_preset_replaces_its_own_settings_alone(kinds: Path) -> None:
    """Also where the file writes two of them as one, by an alias."""
    data, _ = read_preset("kind/inner", "mine:short")
    assert data["first"] == {"epochs": 3, "training": {"lr": 0.2, "betas": [0.9, 0.99]}}
    assert data["second"] == {"epochs": 4, "training": {"lr": 0.1, "betas": [0.9, 0.99]}}
    other, _ = read_preset("kind/inner", "kind/inner/mine.yaml:other")
    assert other["first"] == 5 and other["third"] == {"a": 1} and other["title"] == "Two stages"


def test_a_path_may_have_a_colon(kinds: Path) -> None:
    (kinds / "a:b.yaml").write_text("title: Colon\n")
    assert read_preset("kind", "a:b.yaml")[0] == {"title": "Colon"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine:shrt", "mine.yaml: preset 'shrt': did you mean 'short'. choose from: other, short"),
        ("mien", "'mien' is not among the inner; did you mean 'mine'"),
        ("list.yaml", "list.yaml: expected a mapping of settings, got .1."),
        ("named.yaml", "named.yaml: presets: True is no name; put it in quotes"),
        ("wrong.yaml", "wrong.yaml: presets: expected a mapping from names to settings"),
    ],
)
def test_wrong_names_and_files(kinds: Path, name: str, message: str) -> None:
    (kinds / "list.yaml").write_text("[1]")
    (kinds / "wrong.yaml").write_text("presets: {a: 1}")
    (kinds / "named.yaml").write_text("presets: {on: {a: 1}}")
    with pytest.raises(InputError, match=message) as error:
        read_preset("kind/inner", name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["strategies", "strategies/recipes"])
def test_every_shipped_preset_can_be_read(kind: str) -> None:
    assert shipped_names(kind)
    for name in shipped_names(kind):
        for full in [name, *(f"{name}:{preset}" for preset in preset_names(kind, name))]:
            data, path = read_preset(kind, full)
            assert "presets" not in data and data["title"] and path.stem == name


# -- checking -----------------------------------------------------------------------------------


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: Annotated[int, Field(ge=1, strict=True)]


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    parts: list[Inner] = []
    table: dict[str, int] = {}

    @model_validator(mode="after")
    def _short(self) -> Outer:
        if len(self.name) > 5:
            raise ValueError("name: at most 5 letters")
        return self


def test_what_is_right_becomes_the_model() -> None:
    made = validate(Outer, {"name": "a", "parts": [{"size": 2}]}, "here")
    assert made.parts[0].size == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "here: name: missing"),
        ({"name": "a", "nme": 1}, "here: nme: unknown key"),
        ({"name": 5}, "here: name: input should be a valid string, got 5"),
        ({"name": "a\nb", "parts": [{}]}, "here: parts.0.size: missing"),
        ({"name": "a", "parts": 5}, "here: parts: input should be a valid list, got 5"),
        ({"name": ["a\n"]}, "here: name: input should be a valid string"),
        ({"name": "a" * 6}, "here: name: at most 5 letters"),
        (
            {"name": "a", "table": {"x": "no\n"}},
            "here: table.x: input should be a valid integer, unable to parse string as an "
            "integer, got 'no\\n'",
        ),
        (
            {"name": "a", "parts": [{"size": 1}, {"size": 0}, {"size": True}]},
            "here: parts.1.size: input should be greater than or equal to 1, got 0; "
            "parts.2.size: input should be a valid integer, got True",
        ),
        (None, "here: file: input should be a valid dictionary or instance of Outer, got None"),
    ],
)
def test_every_fault_is_named_in_one_line(data: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        validate(Outer, data, "here")
    assert str(error.value) == message


# -- numbers ------------------------------------------------------------------------------------


class Numbers(Settings):
    rate: float = 1.0
    share: Annotated[float, Field(gt=0)] | None = None
    pair: tuple[float, float] = (0.0, 0.0)
    parts: dict[str, float] = {}
    count: Annotated[int, Field(ge=1, strict=True)] = 1
    flag: bool = False
    either: bool | int = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", True),
        ("rate", np.bool_(True)),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "9" * 400),
        ("share", False),
        ("pair", [0.5, True]),
        ("parts", {"a": True}),
        ("count", True),
        ("count", 1.5),
        ("count", "0500"),
        ("count", "9" * 5000),
        ("flag", 1),
        ("flag", "yes"),
        ("unknown", 1),
    ],
)
def test_what_is_no_number_is_refused_with_its_key(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^file\.yaml: {key}[.:]") as caught:
        validate(Numbers, {key: value}, "file.yaml")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("rate", 2, 2.0),
        ("rate", "1e-3", 0.001),  # text to YAML 1.1, which asks for 1.0e-3
        ("rate", np.float32(0.5), 0.5),
        ("rate", np.array(3), 3.0),
        ("rate", torch.tensor(0.25), 0.25),
        ("count", np.int64(7), 7),
        ("pair", [np.float64(1), 2], (1.0, 2.0)),
        ("flag", True, True),
        ("flag", np.bool_(True), True),
        ("either", True, True),
        ("anything", [True, {"a": False}], [True, {"a": False}]),
    ],
)
def test_what_is_a_number_is_taken_for_it(key: str, value: Any, taken: Any) -> None:
    found = getattr(validate(Numbers, {key: value}, "file.yaml"), key)
    assert found == taken and type(found) is type(taken)


def test_no_settings_of_the_package_take_true_for_a_number() -> None:
    """Nor does one that is added: all models of files share one of the bases that refuse it."""
    for module in pkgutil.walk_packages(groupnas.__path__, "groupnas."):
        if "nni" not in module.name and "_shipped" not in module.name:
            importlib.import_module(module.name)
    models = {
        model
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("groupnas.")
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
    } - {BaseModel}
    assert len(models) > 30
    assert [model.__name__ for model in models if not issubclass(model, (Settings, Saved))] == []
    with pytest.raises(InputError, match="rate: "):
        validate(create_model("Told", __base__=Saved, rate=(float, ...)), {"rate": True}, "file")


def test_a_word_that_yaml_takes_for_a_truth_value_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("title: no\n")
    data = read_yaml(tmp_path / "file.yaml")
    with pytest.raises(InputError, match=r"title: .* got False \(.*put it in quotes\)$"):
        validate(create_model("Titled", __base__=Settings, title=(str, ...)), data, "file.yaml")
