"""groupnas.spaces.schema: every file that is wrong says in one line which key is at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import space_file

from groupnas.errors import InputError
from groupnas.spaces import load_space
from groupnas.spaces.rows import Row
from groupnas.spaces.schema import read_space_file

RIGHT = space_file(
    {"name": "stem", "op": "conv3x3", "c": 4},
    {"name": "body", "op": "irb", "t": 2, "c": 6, "n": 2, "s": 2},
    title="Right",
    input=[8, 6],
)
REMOVE = object()


def changed(path: str, value: Any) -> str:
    """``RIGHT`` as YAML with the value at ``path`` replaced, added, or removed."""
    data = yaml.safe_load(yaml.safe_dump(RIGHT))
    keys: list[Any] = [int(key) if key.isdigit() else key for key in path.split(".")]
    *parents, last = keys
    place: Any = data
    for key in parents:
        place = place[key]
    if value is REMOVE:
        del place[last]
    elif isinstance(place, list):
        place[last : last + 1] = [value]
    else:
        place[last] = value
    return yaml.safe_dump(data)


def row(**keys: Any) -> dict[str, Any]:
    return {"name": "row", **keys}


WRONG: dict[str, tuple[str, Any, str]] = {
    # label: (path of the change, value, what the message says behind the file's name)
    "unknown operator": ("layers.0.op", "cnv3x3", "layers.0.op: 'cnv3x3' is not an operator; ch"),
    "operator without kernel": ("layers.0.op", "conv", "layers.0.op: 'conv' is not an operator"),
    "oblong kernel": ("layers.0.op", "conv3x5", "layers.0.op: 'conv3x5' is not an operator"),
    "line break": ("layers.0.op", "conv3x3\n", "layers.0.op: 'conv3x3\\n' is not an operator"),
    "even kernel": ("layers.0.op", "conv2x2", "layers.0.op: 'conv2x2': convolutions take odd"),
    "missing t": ("layers.1.t", REMOVE, "layers.1.t: missing; op irb needs it"),
    "missing c": ("layers.0.c", REMOVE, "layers.0 (stem): c: missing; only the last row"),
    "key of another op": ("layers.0.t", 2, "layers.0.t: op conv3x3 does not take it"),
    "pooling with c": ("layers.0", row(op="avgpool", c=3), "layers.0.c: op avgpool does not take"),
    "c below the groups": ("layers.0.c", 1, "layers.0 (stem): c: 1 channels cannot hold 2 groups"),
    "unknown key": ("strides", 2, "strides: unknown key"),
    "unknown key of a row": ("layers.1.stride", 2, "layers.1.stride: unknown key"),
    "missing title": ("title", REMOVE, "title: missing"),
    "missing name": ("layers.0.name", REMOVE, "layers.0.name: missing"),
    "outputs of other groups": (
        "outputs",
        {"a": 2, "c": 2},
        "outputs: expected exactly the groups a, b",
    ),
    "inputs of too few groups": ("inputs", {"a": 1}, "inputs: expected exactly the groups a, b"),
    "variant of other groups": (
        "variants",
        {68: {"outputs": {"a": 1}}},
        "variants.68.outputs: expected exactly the groups a, b",
    ),
    "variant no": ("variants", {False: {}}, "variants.0.[key]: input should be a valid string"),
    "variant twice": ("variants", {68: {}, "68": {}}, "variants: a name stands twice"),
    "missing outputs": ("outputs", REMOVE, "outputs: missing; give every group's number"),
    "missing inputs": ("inputs", REMOVE, "inputs: missing; give every group's number of inputs"),
    "no output for a group": (
        "outputs.a",
        0,
        "outputs.a: input should be greater than or equal to 1, got 0",
    ),
    "row twice": ("layers.1.name", "stem", "layers.1.name: 'stem' stands twice"),
    "reserved name": (
        "layers.0.name",
        "input",
        "layers.0 (input): name: 'input' is already the name",
    ),
    "name in capitals": ("layers.0.name", "Stem", "layers.0.name: string should match pattern"),
    "name with a dot": ("layers.0.name", "a.b", "layers.0.name: string should match pattern"),
    "another format": ("format", 2, "format: input should be 1, got 2"),
    "format as text": ("format", "1", "format: input should be 1, got '1'"),
    "stride 0": ("layers.0.s", 0, "layers.0.s: input should be greater than or equal to 1, got 0"),
    "bool for int": ("layers.0.c", True, "layers.0.c: expected a number, got True"),
    "float for int": ("layers.0.c", 4.0, "layers.0.c: input should be a valid integer, got 4.0"),
    "text for int": ("layers.1.n", "2", "layers.1.n: input should be a valid integer, got '2'"),
    "float in the size": ("input", [8, 6.0], "input.1: input should be a valid integer, got 6.0"),
    "size of one": ("input", [8], "input.1: missing"),
    "no group": ("groups", [], "groups: list should have at least 1 item"),
    "group mean": ("groups", ["a", "mean"], "groups: mean is what the mean of all is called"),
    "group twice": ("groups", ["a", "a"], "groups: a name stands twice"),
    "no layers": ("layers", [], "layers: list should have at least 1 item"),
    "unknown activation": ("act", "gelu", "act: input should be 'relu', 'relu6', 'hardswish' or"),
    "global pooling, oblong": (
        "layers.1",
        row(op="avgpool"),
        "layers.1 (row): op: a global pooling needs a square input; give its kernel",
    ),
    "window too large": (
        "layers.1",
        row(op="maxpool7x7"),
        "layers.1 (row): a 7 x 7 window does not fit its (8, 6) input",
    ),
    "last row no linear": (
        "layers.2",
        row(op="conv1x1", c=4),
        "layers.2 (row): the last row must be a convKxK or linear without c",
    ),
    "last row with c": ("layers.2.c", 4, "layers.2 (output): the last row must be a convKxK"),
    "output in the middle": (
        "layers.1",
        row(op="linear"),
        "layers.1 (row): c: missing; only the l",
    ),
    "two faults": ("layers.0", {"name": "A", "op": "conv1x1", "c": 0}, "layers.0.name: string sho"),
}


def refusal(file: Path, contents: str | bytes) -> str:
    """What is said of a file with these contents, behind its name."""
    file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    with pytest.raises(InputError) as error:
        load_space(file)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(file))
    return message[len(str(file)) :].removeprefix(": ")


def test_the_file_that_is_changed_below_is_right(tmp_path: Path) -> None:
    file = tmp_path / "right.yaml"
    file.write_text(yaml.safe_dump(RIGHT))
    space = load_space(file)
    assert (space.name, space.title) == ("right", "Right")


@pytest.mark.parametrize(("path", "value", "message"), WRONG.values(), ids=WRONG)
def test_the_key_at_fault_is_named(tmp_path: Path, path: str, value: Any, message: str) -> None:
    said = refusal(tmp_path / "wrong.yaml", changed(path, value))
    assert said.startswith(message), said


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path / "wrong.yaml", changed("layers.0", {"name": "A", "op": "irb", "c": 0}))
    assert "layers.0.name: " in said and "layers.0.c: " in said


@pytest.mark.parametrize("op", ["conv3x3", "dwconv3x3", "irb", "maxpool2x2", "avgpool"])
def test_nothing_but_linear_follows_linear(tmp_path: Path, op: str) -> None:
    keys = {"conv3x3": {"c": 4}, "irb": {"t": 2, "c": 4}}.get(op, {})
    data = {**RIGHT, "layers": [{"name": "flat", "op": "linear", "c": 4}, row(op=op, **keys)]}
    data["layers"].append({"name": "output", "op": "linear"})
    said = refusal(tmp_path / "wrong.yaml", yaml.safe_dump(data))
    assert said == f"layers.1 (row): op: {op} cannot follow a linear layer"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("format: 1\nlayers: [", ":2: is not YAML: "),
        ("format: 1\nformat: 1", ":2: is not YAML: key 'format' stands twice"),
        ("layers:\n- {name: a, op: irb, c: 4, c: 5}", ":2: is not YAML: key 'c' stands twice"),
        ("format: !!python/object/apply:os.getcwd []", ":1: is not YAML: could not determine"),
        (b"\x89PNG\r\n\x1a\n", "is not a text file (byte 0)"),
        ("", "file: input should be a valid dictionary or instance of SpaceFile, got None"),
        ("just words", "file: input should be a valid dictionary or instance of SpaceFile, got 'j"),
    ],
    ids=["broken", "key twice", "key of a row twice", "tag", "binary", "empty", "text"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, contents: str | bytes, message: str) -> None:
    said = refusal(tmp_path / "wrong.yaml", contents)
    assert said.startswith(message), said


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    for read in (load_space, read_space_file):
        with pytest.raises(InputError, match=r"folder\.yaml: cannot be read: Is a directory"):
            read(folder)


@pytest.mark.parametrize(
    ("op", "name", "kernel"),
    [
        ("conv3x3", "conv", 3),
        ("dwconv5x5", "depthwise", 5),
        ("maxpool2x2", "maxpool", 2),
        ("avgpool", "avgpool", None),
        ("irb", "irb", 3),
        ("irb7x7", "irb", 7),
        ("linear", "linear", None),
    ],
)
def test_an_operator_is_its_name_and_kernel(op: str, name: str, kernel: int | None) -> None:
    keys = {"conv": {"c": 4}, "irb": {"t": 1, "c": 4}}.get(name, {})
    made = Row.model_validate(row(op=op, **keys))
    assert (made.operator.name, made.kernel) == (name, kernel)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"groups": ["c", "d"]}, "variants.x.inputs: expected exactly the groups c, d"),
        ({"groups": 64, "inputs": {"each": 1}}, "x.outputs: expected .* g0, g1, ..., g63"),
        ({"layers": dict.fromkeys(["stem", "body", "output"])}, "variants.x.layers: leaves no row"),
        ({"layers": {"stem": {"name": "root"}}}, "variants.x.layers.stem.name: rows of all"),
    ],
)
def test_variants_that_cannot_be(tmp_path: Path, variant: dict[str, Any], message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({**RIGHT, "variants": {"x": variant}}))
    with pytest.raises(InputError, match=message):
        load_space(path)


def test_a_unit_of_too_many_channels(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    head = {"name": "head", "op": "conv3x3", "c": {"each": 2**16}}
    ends = {"groups": 256, "inputs": {"each": 1}, "outputs": {"each": 1}}
    path.write_text(yaml.safe_dump({**RIGHT, **ends, "layers": [head, RIGHT["layers"][-1]]}))
    with pytest.raises(InputError, match="head: 16,777,216 channels; expected 1,048,576 at most"):
        load_space(path)


def test_figures_of_other_groups_are_not_a_variants(tmp_path: Path) -> None:
    path = tmp_path / "four.yaml"
    figures = {"published": [{"label": "P", "per_group": {"a": 1.0}}], "inputs": {"each": 1}}
    variants = {"variants": {"two": {}, "four": {"groups": 4}}, "outputs": {"each": 1}}
    path.write_text(yaml.safe_dump({**RIGHT, **figures, **variants}))
    assert len(load_space(path, "two").published) == 1
    assert load_space(path, "four").published == ()
