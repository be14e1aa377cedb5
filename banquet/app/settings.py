"""Settings: typed, frozen, read once. Environment (`BANQUET_...`) over file over defaults; unknown keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

from banquet.app.placements import in_words
from banquet.core.errors import BadSettings

HERE = Path(__file__).parent


class HostSettings(BaseModel):
    """One TorchServe that runs already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field("", description="A TorchServe that runs already: host:port of its gRPC inference; empty: our own.")
    management: str = Field(
        "", description="That TorchServe's gRPC management, host:port; empty: canaries decide, and `workers` is believed."
    )
    key_file: Path | None = Field(None, description="That TorchServe's key_file.json; none: it wants no keys.")


class TorchServeSettings(HostSettings):
    """How the models are reached."""

    hosts: tuple[HostSettings, ...] = Field(
        (), max_length=64, description="Several that run already, instead of one: each with address, management and key_file."
    )
    servers: int = Field(1, ge=1, le=8, description="TorchServes of our own, each with its workers.")
    queue_size: int = Field(64, ge=1, le=10_000, description="Jobs that our TorchServe lets wait per model.")
    workers: int = Field(
        1, ge=1, le=64, description="Worker processes per model and TorchServe; threads, with models in process."
    )
    backend: Literal["auto", "tensorrt", "inductor", "onnxruntime", "eager"] = Field(
        "auto", description="Required backend of the handlers; `auto`: the best that works."
    )
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32", description="What tensorrt and inductor compute matrix products in."
    )
    threads: int = Field(1, ge=1, le=64, description="Threads of one worker.")
    max_batch: int = Field(32, ge=1, le=256, description="Queries joined into one model call.")
    max_in_flight: int = Field(
        8, ge=1, le=64, description="Most model calls under way at once per model and gateway process; never more than workers."
    )
    max_queued: int = Field(256, ge=1, le=100_000, description="Queries waiting for a model call per model and gateway process.")

    @property
    def reached(self) -> tuple[HostSettings, ...]:
        """The TorchServes that run; none before our own ones do."""
        return self.hosts or ((self,) if self.address else ())

    @model_validator(mode="after")
    def _one_way_to_name_them(self) -> TorchServeSettings:
        if self.hosts and self.address:
            raise ValueError("address and hosts are both set; name one TorchServe by address or several in hosts")
        if not all(host.address for host in self.hosts):
            raise ValueError("a host in hosts has no address; want host:port of its gRPC inference")
        addresses = [host.address for host in self.hosts]
        if len(set(addresses)) < len(addresses):
            raise ValueError(f"hosts names one twice: {', '.join(addresses)}")
        return self


class FeatureSettings(BaseModel):
    """How features are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["feast", "strict"] = Field(
        "feast",
        description="`strict` leaves out values of users that are older than their view's ttl; `feast`, as Feast, does not.",
    )
    context: dict[str, str] = Field(
        default_factory=dict,
        description="What a request's context says of users unless it says otherwise: parts of keys, data for on-demand views.",
    )
    freshness_s: float = Field(
        1.0, ge=0.2, le=3600, description="How old the catalogue may be, per 100,000 items, before answers say that it is."
    )
    census_s: float = Field(60.0, ge=1, le=86_400, description="Pause between counts of the online store's rows for the metrics.")
    user_read_ms: int = Field(
        60,
        ge=1,
        le=60_000,
        description="Longest read of users; a store that fails thrice in a row is left in peace.",
    )


class ServedSettings(BaseModel):
    """What the served log keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_rate: float = Field(1.0, ge=0, le=1, description="Share of the requests that are written, chosen by their ids.")
    retention_hours: float = Field(72.0, gt=0, description="How long answers are kept.")
    max_mb: int = Field(2048, ge=1, description="Size of the served log; beyond it the oldest answers go.")
    flush_s: float = Field(30.0, ge=0.5, le=300, description="Answers are written this often; a crash loses no more.")


class EventSettings(BaseModel):
    """What becomes of events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retention_days: int = Field(
        30, ge=8, le=3650, description="How long events stay in the log and a repeated event id is known."
    )
    offline_every_s: float = Field(
        30.0, ge=0, le=86_400, description="Pause between writes of pushed features to the offline store; 0: none are written."
    )
    kafka_servers: str = Field("", description="Kafka brokers, host:port,...; empty: events go through files of this machine.")
    kafka_topic: str = Field("banquet-events", min_length=1, description="The topic, keyed by user; another ends in .by-item.")
    kafka_group: str = Field("banquet", min_length=1, description="The consumers that share the work.")
    kafka_options: dict[str, str | int | float | bool] = Field({}, description="More options of librdkafka, such as passwords.")


class PrivacySettings(BaseModel):
    """Who can be told from what is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pseudonyms: bool = Field(default=False, description="Write keyed hashes instead of user ids into logs and the served log.")
    key_file: Path | None = Field(None, description="Their key; by default `pseudonyms.key` in the workspace, made if absent.")


class RolloutSettings(BaseModel):
    """When a candidate is rolled back by itself; rates are shares, 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_queries: int = Field(300, ge=20, description="Nothing is said of fewer queries of the candidate.")
    error_rise: float = Field(0.005, ge=0, le=1, description="By how much its error rate may be above the stable release's.")
    degradation_rise: float = Field(0.02, ge=0, le=1, description="The same of answers that lack what a model should give.")
    p99_ratio: float = Field(1.5, ge=1, le=100, description="Its p99 may be so many times the stable release's,")
    p99_slack_ms: float = Field(20.0, ge=0, le=10_000, description="and so many milliseconds more.")
    min_impressions: int = Field(1000, ge=100, description="Nothing is said of clicks before both have so many impressions.")
    click_p: float = Field(
        1e-5, gt=0, le=0.05, description="How unlikely its lower click-through must be, were both releases as good."
    )


class Settings(BaseSettings):
    """Everything `banquet up` can be told."""

    model_config = SettingsConfigDict(env_prefix="BANQUET_", env_nested_delimiter="__", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address of the gateway; loopback unless you mean otherwise.")
    port: int = Field(7600, ge=0, le=65535, description="Port of the gateway; 0 takes a free one.")
    metrics_port: int = Field(
        7610, ge=0, le=65535, description="Loopback port of gateway process 0's metrics; process i has this + i; 0: off."
    )
    gateways: int = Field(1, ge=1, le=64, description="Gateway processes sharing the port.")
    max_latency_ms: int = Field(200, gt=0, le=60_000, description="Cap on the caller's own deadline.")
    max_concurrent: int = Field(512, gt=0, description="Calls in progress per gateway process; more are refused.")
    max_streams: int = Field(128, gt=0, description="Event streams open per gateway process; more are refused.")
    drain_s: float = Field(5.0, ge=0, description="How long calls in progress may go on after SIGTERM.")
    workspace: Path = Field(Path("var"), description="Folder of releases, catalogue, feedback and logs.")
    feature_repo: Path = Field(Path("feature_repo"), description="Folder of feature_store.yaml.")
    model_store: Path = Field(Path("model_store"), description="Folder of the model archives.")
    release: str = Field("", description="Serve this release and no other; empty: the stable one, and rollouts.")
    placements_file: Path = Field(HERE / "placements.yaml", description="The placements.")
    models: Literal["torchserve", "inprocess"] = Field(
        "torchserve", description="Where the models run: in TorchServe, or in each gateway process itself."
    )
    torchserve: TorchServeSettings = TorchServeSettings()
    rollout: RolloutSettings = RolloutSettings()
    features: FeatureSettings = FeatureSettings()
    events: EventSettings = EventSettings()
    served_log: bool = Field(default=True, description="Write the served log.")
    served: ServedSettings = ServedSettings()
    privacy: PrivacySettings = PrivacySettings()
    log_max_mb: int = Field(20, ge=1, le=10_000, description="A log file that has grown past it is begun anew.")
    log_files: int = Field(3, ge=1, le=100, description="How many earlier files of each log are kept.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def releases(self) -> Path:
        return self.workspace / "releases"

    @property
    def engines(self) -> Path:
        return self.workspace / "engines"

    @property
    def catalogue(self) -> Path:
        return self.workspace / "catalogue"

    @property
    def feedback(self) -> Path:
        return self.workspace / "feedback"

    @property
    def erasures(self) -> Path:
        return self.feedback / "erasures"

    @property
    def served_folder(self) -> Path:
        return self.workspace / "served"

    @property
    def torchserve_folder(self) -> Path:
        return self.torchserve_folders[0]

    @property
    def torchserve_folders(self) -> tuple[Path, ...]:
        """One for each TorchServe of our own."""
        more = (f"torchserve-{number}" for number in range(1, self.torchserve.servers))
        return tuple(self.workspace / name for name in ("torchserve", *more))

    @property
    def logs(self) -> Path:
        return self.workspace / "log"

    @property
    def rolls_out(self) -> bool:
        """Whether releases come and go under load: not one named here, nor those in the gateways' own processes."""
        return not self.release and self.models == "torchserve"

    @property
    def run_folder(self) -> Path:
        return self.workspace / "run"


def read_settings(path: Path | None = None, **overrides: object) -> Settings:
    """Settings: `overrides` (None means not given) over the environment over a YAML file.

    Raises `BadSettings` naming file, key and value.
    """
    body = {} if path is None else _read_mapping(path)

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: Source,
            env_settings: Source,
            dotenv_settings: Source,  # noqa: ARG003 - the hook's signature
            file_secret_settings: Source,  # noqa: ARG003
        ) -> tuple[Source, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=body)

    try:
        return FromFile(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings(f"{path or 'settings'}: {in_words(error)}") from error


def _read_mapping(path: Path) -> dict[str, object]:
    try:
        body = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}; name a settings file that can be read") from error
    except yaml.YAMLError as error:
        raise BadSettings(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(body, dict):
        raise BadSettings(f"{path}: holds {type(body).__name__}; a settings file is a mapping of keys to values")
    return body
