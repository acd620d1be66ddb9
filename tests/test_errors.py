"""groupnas.errors: a message is one line that a person can read, whatever is quoted in it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import LONGEST, InputError, printable, shown


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_a_message_is_one_printable_line(text: str) -> None:
    message = str(InputError(f"{text}{text * 500}"))
    assert message.isprintable() and len(message) <= LONGEST
    message.encode()  # no surrogates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.json: is damaged", "a.json: is damaged"),
        ("a.json: is\n  damaged\r\n", "a.json: is damaged"),
        ("caf\udce9.json: \x1b[31m\t\x00\ud834", "caf\\xe9.json: \\x1b[31m\\t\\x00\\ud834"),
        ("Größe  ×2", "Größe  ×2"),
    ],
)
def test_what_a_message_becomes(text: str, message: str) -> None:
    assert str(InputError(text)) == message
    assert str(pickle.loads(pickle.dumps(InputError(text)))) == message


def test_a_long_message_keeps_its_ends() -> None:
    message = str(InputError(f"a.json: {'x' * 10**7}; start again"))
    assert message.startswith("a.json: xxx") and message.endswith("xxx; start again")
    assert " ... " in message and len(message) == LONGEST


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        ("nose", "'nose'"),
        ([1, [2, "a"]], "[1, [2, 'a']]"),
        ({"b": 1}, "{'b': 1}"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_short_values_are_shown_whole(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_and_deep_values_are_shown_shortly() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**6, 10**4000, [0] * 10**6, deep, {"a" * 10**6: "b" * 10**6}):
        assert len(shown(value)) <= 80 and "..." in shown(value)
    assert len(shown("x" * 1000, limit=30)) <= 30


def test_printable_text_is_left_alone() -> None:
    assert printable("mouth × 2") == "mouth × 2"
    assert printable("a\tb") == "a\\tb"
