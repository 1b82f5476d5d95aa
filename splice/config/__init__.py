"""The configuration: frozen settings, from a TOML file, the environment and the flags.

`settings` holds what there is to set, each key with its default and its rule; `sources` reads the three places and
names the one that is wrong. Nothing else in the house reads files or the environment, and components take the few
values that they need, never the whole.
"""

from splice.config.addresses import ListenAddress, OriginAddress
from splice.config.settings import (
    AdminSettings,
    AppLimitsSettings,
    AppSettings,
    ForwardSettings,
    HooksSettings,
    HubSettings,
    Limits,
    OriginSettings,
    PlaySettings,
    PublishSettings,
    Settings,
    SignKeySettings,
    Timeouts,
    TlsSettings,
)
from splice.config.sources import ConfigError, load_settings, settings_as_toml

__all__ = [
    "AdminSettings",
    "AppLimitsSettings",
    "AppSettings",
    "ConfigError",
    "ForwardSettings",
    "HooksSettings",
    "HubSettings",
    "Limits",
    "ListenAddress",
    "OriginAddress",
    "OriginSettings",
    "PlaySettings",
    "PublishSettings",
    "Settings",
    "SignKeySettings",
    "Timeouts",
    "TlsSettings",
    "load_settings",
    "settings_as_toml",
]
