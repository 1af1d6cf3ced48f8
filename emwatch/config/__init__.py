"""
What the operator configures: one frozen tree, from flags, the environment and files.

`load` is the way in. Only this package knows YAML and pydantic.
"""

from emwatch.config.document import Origin
from emwatch.config.load import Loaded, load
from emwatch.config.schema import (
    AlertsConfig,
    Channel,
    CommandChannel,
    Config,
    LedgerConfig,
    LogConfig,
    ModelConfig,
    TargetConfig,
    TerminalChannel,
    WatchConfig,
    WebConfig,
    WindowConfig,
)
from emwatch.config.sources import Leaf, leaf_keys

__all__ = [
    "AlertsConfig",
    "Channel",
    "CommandChannel",
    "Config",
    "Leaf",
    "LedgerConfig",
    "Loaded",
    "LogConfig",
    "ModelConfig",
    "Origin",
    "TargetConfig",
    "TerminalChannel",
    "WatchConfig",
    "WebConfig",
    "WindowConfig",
    "leaf_keys",
    "load",
]
