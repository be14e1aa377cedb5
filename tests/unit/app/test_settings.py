"""Settings are read once, checked, and documented."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from banquet.app.placements import read_placements
from banquet.app.settings import Settings, read_settings
from banquet.core.errors import BadSettings

DOCUMENT = Path(__file__).parents[3] / "docs/settings.md"


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest to the user wins; None means not given."""
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1\nmetrics_port: 2\ntorchserve: {threads: 3}\n")
    monkeypatch.setenv("BANQUET_METRICS_PORT", "20")
    monkeypatch.setenv("BANQUET_TORCHSERVE__WORKERS", "30")
    settings = read_settings(file, port=100, host=None)
    assert (settings.port, settings.metrics_port, settings.host) == (100, 20, "127.0.0.1")
    assert (settings.torchserve.threads, settings.torchserve.workers) == (3, 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt: 1", "prt: Extra inputs are not permitted"),
        ("port: 70000", "port: Input should be less than or equal to 65535 (is '70000')"),
        ("torchserve: {backend: magic}", "torchserve.backend"),
        ("- 1", "holds list"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_one_error_that_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    """One line, with what stands there."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(BadSettings) as caught:
        read_settings(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_packaged_placements_are_valid() -> None:
    """`home` and `detail` are there without any file of one's own."""
    assert set(read_placements(Settings().placements_file)) == {"home", "detail"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("placements: {home: {sources: []}}", "placements.home.sources"),
        ("placements: {home: {sources: [{kind: magic}]}}", "placements.home.sources.0.kind"),
        (
            "placements: {home: {sources: [{kind: popular}], budgets_ms: {rankng: 5}}}",
            "budgets_ms has 'rankng'; allowed: popular",
        ),
        ("placements: {home: {sources: [{kind: popular}], filter: []}}", "placements.home.filter: Extra inputs"),
        ("placements: {home: {sources: [{kind: popular}], selector: {kind: mmr, diversity: 7}}}", "diversity"),
        ("placements: {home: {sources: [{kind: popular}], explore: {share: 2}}}", "placements.home.explore.share"),
    ],
)
def test_a_wrong_placement_is_named(tmp_path: Path, text: str, message: str) -> None:
    """The path to the key is in the error."""
    file = tmp_path / "placements.yaml"
    file.write_text(text)
    with pytest.raises(BadSettings, match=message):
        read_placements(file)


def test_every_setting_is_documented() -> None:
    """docs/settings.md has each key with its description."""
    text = DOCUMENT.read_text()
    keys: list[str] = []
    for name, field in Settings.model_fields.items():
        nested = field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) else None
        keys += [name] if nested is None else [f"{name}.{key}" for key in nested.model_fields]
    assert [key for key in keys if f"| `{key}` |" not in text] == []
