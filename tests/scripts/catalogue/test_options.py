"""What the yamls of configs/activation say of themselves."""

from pathlib import Path

import pytest
from catalogue.options import Option, choose, read_options

from activae.config.instantiating import locate
from activae.errors import ConfigError

FOLDER = Path(__file__).parents[3] / "configs" / "activation"
OPTIONS = read_options(FOLDER)
BUILDABLE = [option for option in OPTIONS.values() if not option.missing]
each_option = pytest.mark.parametrize("option", BUILDABLE, ids=lambda option: option.name)

YAML = """\
# Half: scale x, and 0.5 x by default. Only an example (of none).
# Source: Nobody et al. 2025. Gain: 2.0000.
_target_: torch.nn.LeakyReLU
_partial_: true
negative_slope: 0.25 # slope to the left: of 0
"""


def option_of(text: str, tmp_path: Path) -> Option:
    (tmp_path / "half.yaml").write_text(text, encoding="utf-8")
    return read_options(tmp_path)["half"]


def test_there_are_at_least_45_to_choose_from() -> None:
    assert len(BUILDABLE) >= 45
    assert set(OPTIONS) == {path.stem for path in FOLDER.glob("*.yaml")}


@each_option
def test_two_lines_say_what_it_is_and_whose(option: Option) -> None:
    text = (FOLDER / f"{option.name}.yaml").read_text(encoding="utf-8")

    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 2
    assert option.formula, f"{option.name}.yaml: write line 1 as `# Name: formula. Remark.`"
    assert option.source, f"{option.name}.yaml: write line 2 as `# Source: paper. Gain: 1.2345.`"


@each_option
def test_every_parameter_is_explained(option: Option) -> None:
    assert {parameter.name for parameter in option.parameters} == {
        key for key in option.node if not key.startswith("_")
    }
    assert all(parameter.meaning for parameter in option.parameters)


@each_option
def test_a_class_of_this_project_says_the_gain_too(option: Option) -> None:
    target = str(option.node["_target_"])
    if target.startswith("activae."):
        assert option.stated_gain in (locate(target, "activation").__doc__ or "")


def test_comments_are_taken_apart(tmp_path: Path) -> None:
    option = option_of(YAML, tmp_path)

    assert option.title == "Half"
    assert option.formula == "scale x, and 0.5 x by default"
    assert option.remark == "Only an example (of none)."
    assert option.notes == [option.remark]
    assert option.source == "Nobody et al. 2025"
    assert option.stated_gain == "2.0000"
    (parameter,) = option.parameters
    assert (parameter.name, parameter.default) == ("negative_slope", "0.25")
    assert parameter.meaning == "slope to the left: of 0"


def test_an_option_without_comments_is_shown_by_its_name(tmp_path: Path) -> None:
    option = option_of("_target_: torch.nn.ReLU\n_partial_: true\n", tmp_path)

    assert (option.title, option.formula, option.source) == ("half", "", "")


def test_notes_of_an_own_class_are_its_docstring_without_the_formula() -> None:
    (note,) = OPTIONS["swish"].notes

    assert note.startswith("beta is a scalar parameter of this instance")
    assert "Gain" not in note
    assert "Raises" not in note


def test_an_option_is_built_with_other_parameters() -> None:
    assert str(OPTIONS["elu"].make(alpha=2.0)) == "ELU(alpha=2.0)"
    assert OPTIONS["prelu"].make() is not OPTIONS["prelu"].make()


def test_a_misspelt_parameter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"activation=elu\.alpa: .*Did you mean.*alpha"):
        OPTIONS["elu"].make(alpa=2.0)


def test_a_misspelt_name_is_refused() -> None:
    assert list(choose(OPTIONS, ["tanh", "relu"])) == ["tanh", "relu"]
    assert choose(OPTIONS, []) == OPTIONS
    with pytest.raises(ConfigError, match=r"activation=rellu: .*relu"):
        choose(OPTIONS, ["rellu"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("alpha: 1", "has no _target_"), ("a: [", "cannot be read"), ("- 1", "has no _target_")],
)
def test_a_yaml_that_describes_nothing_is_refused_by_its_path(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"half\.yaml: {message}"):
        option_of(text, tmp_path)


def test_a_folder_without_yamls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no yaml"):
        read_options(tmp_path)
