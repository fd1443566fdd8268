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


def test_a_folder_may_have_a_name_of_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCD_NAMES", "houses=/a:b-2=/c=d")
    assert read_settings().names == (("houses", Path("/a")), ("b-2", Path("/c=d")))
    assert read_settings(names=["wine=/mnt/models"]).names == (("wine", Path("/mnt/models")),)
    with pytest.raises(SettingsError, match="one name"):
        read_settings(models=["/a"])


def test_an_empty_folder_of_models_undoes_one_where_a_model_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MCD_MODELS_DIR", "")
    assert read_settings(names=["wine=/mnt/models"]).models_dir is None
    assert read_settings(models=["/a"]).models_dir is None


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("MCD_NAMES", "/mnt/models", "houses=/models/1"),
        ("MCD_NAMES", "=/mnt/models", "houses=/models/1"),
        ("MCD_NAMES", "houses=", "houses=/models/1"),
        ("MCD_NAMES", "a/b=/mnt/models", "letters, digits"),
        ("MCD_NAMES", "a=/mnt/1:a=/mnt/2", "one name"),
        ("MCD_NAMES", "a=/mnt/1:b=/mnt/1", "one name"),
        ("MCD_MAX_ROW", "5", "MCD_MAX_ROWS"),
        ("MCD_PORT", "eighty", "MCD_PORT"),
        ("MCD_PORT", "70000", "MCD_PORT"),
        ("MCD_PORT", "", "MCD_PORT"),
        ("MCD_HOST", "", "MCD_HOST"),
        ("MCD_WORKERS", "0", "MCD_WORKERS"),
        ("MCD_LOG_LEVEL", "loud", "MCD_LOG_LEVEL"),
        ("MCD_ROOT_PATH", "mcd", "MCD_ROOT_PATH"),
        ("MCD_ROOT_PATH", "/mcd/", "segments"),
        ("MCD_ROOT_PATH", "/é", "ASCII"),
        ("MCD_ROOT_PATH", "/a b", "segments"),
        ("MCD_ROOT_PATH", "/a%20b", "segments"),
        ("MCD_ROOT_PATH", "//other.org", "segments"),
        ("MCD_ROOT_PATH", "/a/../b", "segments"),
        ("MCD_ROOT_PATH", "/mcd\n", "segments"),
        ("MCD_MAX_BODY_BYTES", "1" + "0" * 20, "4294967296"),
        ("MCD_MAX_BODY_BYTES", "1", "1024"),
        ("MCD_MAX_ROWS", "1" + "0" * 20, "10000000"),
        ("MCD_MAX_PASSES", "1" + "0" * 20, "10000000"),
        ("MCD_MAX_ROW_PASSES", "1" + "0" * 20, "1000000000000"),
        ("MCD_MAX_SAMPLES", "1" + "0" * 20, "1000000000"),
        ("MCD_BATCH_ROWS", "1" + "0" * 20, "1000000"),
        ("MCD_QUEUE_ROWS", "1" + "0" * 20, "100000000"),
        ("MCD_DRAIN_SECONDS", "1" + "0" * 20, "86400"),
        ("MCD_REQUEST_TIMEOUT_SECONDS", "1e-9", "0.1"),
        ("MCD_REQUEST_TIMEOUT_SECONDS", "nan", "finite"),
        ("MCD_REQUEST_TIMEOUT_SECONDS", "inf", "finite"),
        ("MCD_WATCH_SECONDS", "1e-9", "0, or at least 0.1"),
        ("MCD_WATCH_SECONDS", "-1", "MCD_WATCH_SECONDS"),
        ("MCD_RATE_LIMIT", "1e-9", "0, or at least 0.001"),
        ("MCD_MODELS_DIR", "", "leave the setting out"),
        ("MCD_API_KEYS_FILE", "", "leave the setting out"),
        ("MCD_CORS_ORIGINS", "example.org", "https://example.org"),
        ("MCD_CORS_ORIGINS", "https://example.org/", "without a path"),
        ("MCD_CORS_ORIGINS", "https://Example.org", "as browsers send it"),
        ("MCD_CORS_ORIGINS", "https://example.org:443", "as browsers send it"),
        ("MCD_CORS_ORIGINS", "https://*.example.org", "as browsers send it"),
        ("MCD_CORS_ORIGINS", "https://a.org,*", "as browsers send it"),
        ("MCD_CORS_ORIGINS", "null", "as browsers send it"),
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


def test_every_number_has_a_bound_at_both_ends() -> None:
    """Without one, a slip of the hand is a limit that limits nothing, or a server for nobody."""
    for name, field in Settings.model_fields.items():
        if field.annotation in (int, float):
            for value in ("-1", "1" + "0" * 20):
                with pytest.raises(SettingsError, match=name):
                    read_settings(**{name: value})


def test_any_page_is_let_in_only_where_nobody_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCD_CORS_ORIGINS", "*")
    assert read_settings().cors_origins == ("*",)
    monkeypatch.setenv("MCD_API_KEYS_FILE", "/keys")
    with pytest.raises(SettingsError, match=r"^MCD_CORS_ORIGINS: .*name the origins"):
        read_settings()
    monkeypatch.setenv("MCD_CORS_ORIGINS", "http://localhost:3000, https://[::1]:8443")
    assert read_settings().cors_origins == ("http://localhost:3000", "https://[::1]:8443")


@pytest.mark.parametrize("prefix", ["", "/mcd", "/a/b.c/~d", "/.well-known"])
def test_a_prefix_is_of_segments(prefix: str) -> None:
    assert read_settings(root_path=prefix).root_path == prefix


def test_a_malformed_argument_is_named_as_the_argument() -> None:
    with pytest.raises(SettingsError, match=r"^workers: .*many"):
        read_settings(workers="many")


def test_every_setting_is_described_and_has_a_default() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
