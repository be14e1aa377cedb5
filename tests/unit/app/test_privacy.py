"""The key of pseudonyms."""

import json
import stat
from pathlib import Path

import pytest

from banquet.app.privacy import VARIABLE, names_of, open_pseudonyms, pseudonyms_in_force
from banquet.app.settings import Settings
from banquet.core.errors import BadSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv(VARIABLE, raising=False)
    return Settings(workspace=tmp_path, privacy={"pseudonyms": True})


def test_a_key_is_made_once_and_for_its_owner_alone(settings: Settings) -> None:
    """Mode 0600, and the same pseudonyms from then on."""
    known = open_pseudonyms(settings).of("u1")
    file = settings.workspace / "pseudonyms.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_pseudonyms(settings).of("u1") == known
    assert [path.name for path in settings.workspace.iterdir()] == [file.name]
    assert file.read_text().strip() not in json.dumps(settings.model_dump(mode="json"))


def test_the_environment_wins(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made then."""
    monkeypatch.setenv(VARIABLE, "a key of one's own, long enough")
    open_pseudonyms(settings)
    assert not list(settings.workspace.iterdir())


def test_a_key_that_others_may_read_is_refused(settings: Settings) -> None:
    """With the remedy and without the key; and so is a short one."""
    file = settings.workspace / "pseudonyms.key"
    file.write_text("0123456789abcdef")
    file.chmod(0o640)
    with pytest.raises(BadSettings, match="chmod 600") as caught:
        open_pseudonyms(settings)
    assert "0123456789abcdef" not in str(caught.value)
    file.write_text("short")
    file.chmod(0o600)
    with pytest.raises(BadSettings, match="5 bytes is too short"):
        open_pseudonyms(settings)


def test_without_the_setting_ids_stay_and_no_key_is_made(settings: Settings) -> None:
    """A key of earlier days still tells under which name a user was written down."""
    plain = Settings(workspace=settings.workspace)
    assert pseudonyms_in_force(plain) is None
    assert names_of(plain, "u1") == {"u1"}
    known = open_pseudonyms(settings).of("u1")
    assert names_of(plain, "u1") == {"u1", known}
