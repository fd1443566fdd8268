from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, read_settings


def test_an_environment_variable_sets_a_knob_and_an_argument_wins_over_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MCD_PORT", "9000")
    monkeypatch.setenv("MCD_MAX_ROWS", "7")
    assert (read_settings().port, read_settings().max_rows) == (9000, 7)
    assert read_settings(port="9001").port == 9001


def test_models_are_a_list_of_folders_as_in_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCD_MODELS", "/a:/b c:")
    assert read_settings().models == (Path("/a"), Path("/b c"))
    assert read_settings(models=["/d"]).models == (Path("/d"),)


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("MCD_MAX_ROW", "5", "MCD_MAX_ROWS"),
        ("MCD_PORT", "eighty", "MCD_PORT"),
        ("MCD_PORT", "70000", "MCD_PORT"),
        ("MCD_PORT", "", "MCD_PORT"),
        ("MCD_HOST", "", "MCD_HOST"),
        ("MCD_WORKERS", "0", "MCD_WORKERS"),
        ("MCD_LOG_LEVEL", "loud", "MCD_LOG_LEVEL"),
        ("MCD_ROOT_PATH", "mcd", "MCD_ROOT_PATH"),
        ("MCD_ROOT_PATH", "/mcd/", "MCD_ROOT_PATH"),
    ],
)
def test_an_unknown_or_malformed_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, part: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as caught:
        read_settings()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_malformed_argument_is_named_as_the_argument() -> None:
    with pytest.raises(SettingsError, match=r"^workers: .*many"):
        read_settings(workers="many")


def test_every_setting_is_described_and_has_a_default() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
