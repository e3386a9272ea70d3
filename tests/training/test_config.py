import pytest

from smplcli.errors import ConfigError, MissingFileError
from smplcli.training.config import Recipe, read_recipe, recipe_to_toml, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_sound(name):
    assert isinstance(read_recipe(name), Recipe)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_written_recipe_is_read_back_the_same(tmp_path, name):
    recipe = read_recipe(name)
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe))

    assert read_recipe(str(tmp_path / "recipe.toml")) == recipe


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(ConfigError, match="unknown recipe: parr") as caught:
        read_recipe("parr")

    assert "pare" in str(caught.value.hint)


def test_a_missing_file_is_named():
    with pytest.raises(MissingFileError, match=r"mine\.toml"):
        read_recipe("mine.toml")


def test_all_mistakes_are_named_at_once(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('[model]\nbackbonne = "x"\n[schedule]\nsteps = -1\n')

    with pytest.raises(ConfigError) as caught:
        read_recipe(str(path))

    assert "backbonne" in str(caught.value)
    assert "steps" in str(caught.value)


def test_lifting_needs_a_network_that_takes_keypoints(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("[schedule]\nlifting_steps = 10\n")

    with pytest.raises(ConfigError, match="lifting_steps"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    "text",
    [
        "mix = [inf, 1.0]",
        "[schedule]\nlearning_rate = inf",
        "[augmentation]\nrotation = nan",
        "[model]\nhidden = 100_000_000",
        "[model]\ninput_size = 64_000",
    ],
)
def test_numbers_that_no_training_survives_are_refused(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"finite number|less than or equal"):
        read_recipe(str(path))
