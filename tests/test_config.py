import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from smplcli.config import Settings, did_you_mean, parse_toml, settings_template
from smplcli.errors import ConfigError


def parse(text):
    return parse_toml(Settings, text, source="smplcli.toml")


def mistakes_of(text):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.message


def test_an_empty_file_means_the_defaults():
    assert parse("") == Settings()


def test_strings_become_paths():
    assert parse('[body]\npath = "a/b.pkl"').body.path == Path("a/b.pkl")


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().body.path = Path("x")


def test_an_unknown_key_gets_a_suggestion():
    message = mistakes_of('[train]\nrecipie = "lite"')

    assert message == "smplcli.toml: train.recipie: unknown key, did you mean 'recipe'?"


def test_an_unknown_section_gets_a_suggestion():
    assert mistakes_of("[trian]") == "smplcli.toml: trian: unknown key, did you mean 'train'?"


def test_a_key_like_no_other_gets_the_known_ones():
    assert "known: path" in mistakes_of("[body]\nxyzzy = 1")


def test_all_mistakes_come_in_one_message():
    message = mistakes_of('[body]\npath = 3\n[prepare]\ncount = "3"\nseed = -1\n[tarin]')

    assert message.startswith("smplcli.toml: 4 mistakes\n")
    assert "prepare.seed: should be greater than or equal to 0, got -1" in message
    assert all(place in message for place in ("body.path", "prepare.count", "tarin"))


@pytest.mark.parametrize("value", ['"3"', "true", "3.5", "nan", "0", "1979-05-27", "[3]", "{}"])
def test_a_count_must_be_a_positive_integer(value):
    assert "prepare.count: " in mistakes_of(f"[prepare]\ncount = {value}")


def test_a_value_in_the_place_of_a_table_says_so():
    assert "body: should be a table, [body]" in mistakes_of("body = 3")


def test_text_that_is_no_toml_names_the_line():
    assert "not valid TOML" in mistakes_of("[body]\npath == 3")
    assert "line 2" in mistakes_of("[body]\npath == 3")


@given(text=st.text(alphabet='[]{}="\n#.abcpath123 \\u', max_size=60))
def test_any_text_gives_settings_or_a_config_error(text):
    try:
        settings = parse(text)
    except ConfigError:
        return

    assert isinstance(settings, Settings)


def test_the_template_sets_nothing():
    assert parse(settings_template()) == Settings()


def test_every_line_of_the_template_is_valid_once_uncommented():
    uncommented = re.sub(r"^# (\w+ = )", r"\1", settings_template(), flags=re.MULTILINE)

    assert isinstance(parse(uncommented), Settings)


def test_the_template_mentions_every_key_once_with_its_default():
    uncommented = re.sub(r"^# (\w+ = )", r"\1", settings_template(), flags=re.MULTILINE)
    written = tomllib.loads(uncommented)
    defaults = Settings().model_dump(mode="json", by_alias=True)

    assert {name: list(section) for name, section in written.items()} == {
        name: list(section) for name, section in defaults.items()
    }
    for name, section in defaults.items():
        for key, value in section.items():
            assert value in (None, written[name][key])


def test_every_key_is_explained():
    for section in Settings.model_fields.values():
        assert section.default.__doc__
        assert all(field.description for field in type(section.default).model_fields.values())


def test_did_you_mean_lists_the_known_words_when_none_is_near():
    assert did_you_mean("qqq", ["alpha", "beta"]) == "known: alpha, beta"
