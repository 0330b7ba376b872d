"""Configuration is checked against the schema, and its errors never show a value."""

import pytest
from envcli_sdk import ConfigError, ConfigField, FieldType, Secret, parse_value, validate_config

FIELDS = (
    ConfigField("url", FieldType.STRING, required=True),
    ConfigField("port", FieldType.INTEGER, default=443),
    ConfigField("verify", FieldType.BOOLEAN),
    ConfigField("token", FieldType.SECRET),
)


def test_defaults_fill_in() -> None:
    assert validate_config(FIELDS, {"url": "x"}) == {"url": "x", "port": 443}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "'url' is required"),
        ({"url": 1}, "url takes a value of type string"),
        ({"url": "x", "port": True}, "port takes"),
        ({"url": "x", "port": "443"}, "port takes"),
        ({"url": "x", "verify": 1}, "verify takes"),
        ({"url": "x", "token": "plain-text"}, "token takes a value of type secret"),
        ({"url": "x", "other": 1}, "unknown configuration field 'other'; known are url"),
        ({"url": "a\0b"}, "holds a NUL"),
    ],
)
def test_what_does_not_fit_is_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        validate_config(FIELDS, raw)
    assert message in str(raised.value)
    assert "plain-text" not in str(raised.value)


@pytest.mark.parametrize(
    ("index", "text", "value"),
    [(0, "x", "x"), (1, "-3", -3), (2, "Yes", True), (2, "false", False), (3, "t", Secret("t"))],
)
def test_typed_words_become_values(index: int, text: str, value: object) -> None:
    assert parse_value(FIELDS[index], text) == value


@pytest.mark.parametrize(("index", "text"), [(1, "three"), (2, "perhaps")])
def test_typed_words_that_are_no_value(index: int, text: str) -> None:
    with pytest.raises(ConfigError):
        parse_value(FIELDS[index], text)
