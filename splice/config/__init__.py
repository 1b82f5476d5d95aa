"""The configuration: frozen settings, from a TOML file, the environment and the flags.

`settings` holds what there is to set, each key with its default and its rule: the tables of the whole door (`tables`),
and those that an application may have for itself (`applications`). `sources` reads the three places and names the one
that is wrong. Nothing else in the house reads files or the environment, and components take the few
values that they need, never the whole.
"""

from splice.config.addresses import ListenAddress, OriginAddress
from splice.config.applications import (
    AppLimitsSettings,
    AppSettings,
    HooksSettings,
    HubSettings,
    PlaySettings,
    PublishSettings,
    SignKeySettings,
)
from splice.config.settings import Settings
from splice.config.sources import ConfigError, load_settings, settings_as_toml
from splice.config.tables import AdminSettings, ForwardSettings, Limits, OriginSettings, Timeouts, TlsSettings

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
