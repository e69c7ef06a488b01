"""Settings come from the environment, say what is wrong, and refuse what is not safe."""

from dataclasses import fields

import pytest
from click.testing import CliRunner

from matcher.errors import ConfigurationError
from matcher.settings import DEVELOPMENT_SECRET, Settings, config_command, env_name

SECRET = "x" * 32


def test_defaults_need_no_environment() -> None:
    assert Settings.from_env({"PATH": "/bin"}) == Settings()


def test_every_setting_has_a_variable_and_a_meaning() -> None:
    names = [env_name(f.name) for f in fields(Settings)]
    assert len(set(names)) == len(names)
    assert {n for n in names if not n.startswith("MATCHER_")} == {"DATABASE_URL", "REDIS_URL"}
    assert all(f.metadata["doc"] for f in fields(Settings))


def test_variables_are_read_by_their_kind() -> None:
    settings = Settings.from_env(
        {
            "MATCHER_PORT": "9000",
            "MATCHER_LIMITS": "off",
            "MATCHER_DRAIN_S": "1.5",
            "MATCHER_ALLOWED_ORIGINS": "https://a.test, https://b.test,",
            "DATABASE_URL": "postgresql://x",
            "MATCHER_ADMIN_PASSWORD": "read elsewhere",
        }
    )
    assert (settings.port, settings.limits, settings.drain_s) == (9000, False, 1.5)
    assert settings.allowed_origins == ("https://a.test", "https://b.test")
    assert settings.database_url == "postgresql://x"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"MATCHER_PROT": "1"}, "MATCHER_PROT"),
        ({"MATCHER_PORT": "many"}, "MATCHER_PORT"),
        ({"MATCHER_ORDER_OPEN_S": "-5"}, "MATCHER_ORDER_OPEN_S"),
        ({"MATCHER_HEARTBEAT_S": "nan"}, "MATCHER_HEARTBEAT_S"),
        ({"MATCHER_DRAIN_S": "inf"}, "MATCHER_DRAIN_S"),
        ({"MATCHER_LIMITS": "maybe"}, "MATCHER_LIMITS"),
        ({"MATCHER_ENV": "staging"}, "MATCHER_ENV"),
        ({"MATCHER_WAVE_SHOPS": "0"}, "MATCHER_WAVE_SHOPS"),
        ({"MATCHER_POOL_SIZE": "3"}, "MATCHER_POOL_SIZE"),
        ({"MATCHER_LIMIT_ORDERS_PER_MIN": "0"}, "MATCHER_LIMIT_ORDERS_PER_MIN"),
        ({"MATCHER_TRUSTED_PROXIES": "10.0.0.0/99"}, "MATCHER_TRUSTED_PROXIES"),
        ({"MATCHER_ENV": "production"}, "MATCHER_JWT_SECRET"),
        ({"MATCHER_ENV": "production", "MATCHER_JWT_SECRET": "short"}, "MATCHER_JWT_SECRET"),
        ({"MATCHER_ENV": "production", "MATCHER_JWT_SECRET": DEVELOPMENT_SECRET}, "MATCHER_JWT_SECRET"),
        (
            {"MATCHER_ENV": "production", "MATCHER_JWT_SECRET": SECRET, "MATCHER_LIMITS": "off"},
            "MATCHER_LIMITS",
        ),
        ({"MATCHER_HOST": "0.0.0.0"}, "MATCHER_JWT_SECRET"),  # noqa: S104  that is what is refused
        ({"MATCHER_ISSUER_URL": "https://issuer.test"}, "MATCHER_ISSUER_AUDIENCE"),
    ],
)
def test_what_cannot_work_is_refused_by_the_variables_name(environment: dict[str, str], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        Settings.from_env(environment)


def test_production_starts_with_a_secret() -> None:
    assert Settings.from_env({"MATCHER_ENV": "production", "MATCHER_JWT_SECRET": SECRET}).limits


def test_config_lists_every_variable_whole_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHER_JWT_SECRET", "this-is-the-secret-of-this-test-only")
    monkeypatch.setenv("MATCHER_PORT", "8181")
    result = CliRunner().invoke(config_command)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert all(any(line.startswith(f"{env_name(f.name)}=") for line in lines) for f in fields(Settings))
    assert "MATCHER_PORT=8181  (default: 8080)" in lines
    assert "this-is-the-secret" not in result.output
    assert DEVELOPMENT_SECRET not in result.output
