"""What an installation can be told, and how it refuses what it does not understand."""

import re
import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from citysearch import env

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_documented() -> None:
    code = (ROOT / "citysearch/settings.py").read_text() + (ROOT / "citysearch/env.py").read_text()
    names = set(re.findall(r'env_\w+\(\s*"([A-Z_]+)"', code))
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/settings.md").read_text(), re.M))
    assert names == documented


@pytest.mark.parametrize(
    ("name", "value", "read", "allowed"),
    [
        ("DEBUG", "maybe", lambda: env.env_bool("DEBUG", False), "true or false"),
        ("ENGINE_DEVICE", "tpu", lambda: env.env_choice("ENGINE_DEVICE", "cpu", ("cpu", "cuda")), "cpu, cuda"),
        ("ENGINE_THREADS", "many", lambda: env.env_int("ENGINE_THREADS", 2, 1, 256), "from 1 to 256"),
        ("ENGINE_THREADS", "0", lambda: env.env_int("ENGINE_THREADS", 2, 1, 256), "from 1 to 256"),
        ("TIME_ZONE", "Mars/Olympus", lambda: env.env_time_zone("TIME_ZONE", "UTC"), "Asia/Shanghai"),
        ("REDIS_URL", "amqp://x", lambda: env.env_url("REDIS_URL", "", ("redis",)), "redis:"),
        ("PMTILES", __file__, lambda: env.env_file("PMTILES", b"PMTiles", "PMTiles"), "a PMTiles file"),
        ("PMTILES", "/nowhere", lambda: env.env_file("PMTILES", b"PMTiles", "PMTiles"), "can be read (No such file"),
        ("SECRET_KEY", "short", lambda: env.secret_key(Path("/nowhere")), "at least 32 characters"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(monkeypatch, name, value, read, allowed) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name) as refusal:
        read()
    assert allowed in str(refusal.value)


def test_a_secret_is_never_printed(monkeypatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "my-short-secret")
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.secret_key(Path("/nowhere"))
    assert "my-short-secret" not in str(refusal.value)
    monkeypatch.setenv("DATABASE_URL", "mysql://citysearch:my-password@postgres/citysearch")
    with pytest.raises(ImproperlyConfigured, match="mysql:") as refusal:
        env.env_url("DATABASE_URL", "", ("sqlite", "postgresql"))
    assert "my-password" not in str(refusal.value)


def test_a_made_secret_is_kept_for_its_owner_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = env.secret_key(tmp_path)
    assert first == env.secret_key(tmp_path)
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_socket_path_too_long_for_the_kernel_is_an_error(settings) -> None:
    from citysearch.checks import unix_socket_fits

    settings.REDIS_URL = "redis+socket:///" + "x" * 120
    assert [error.id for error in unix_socket_fits(None)] == ["citysearch.E001"]
    settings.REDIS_URL = "redis+socket:///tmp/valkey.sock"
    assert unix_socket_fits(None) == []
