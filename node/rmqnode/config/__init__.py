"""Configuration of nodes: Java properties text ↔ typed, frozen config. No network, no clock."""

from rmqnode.config.broker import BrokerConfig, BrokerRole, FlushDiskType
from rmqnode.config.check import Loaded, NodeKind, SetAside, check_properties, config_properties
from rmqnode.config.errors import ConfigError
from rmqnode.config.kinds import delays_ms
from rmqnode.config.load import load_broker_config, load_nameserver_config, read_delay_levels
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.overlay import never_reason, overlay_files, overlay_path, read_overlay, read_refused, refused_path
from rmqnode.config.properties import PropertiesText, Property, parse_properties, render_properties
from rmqnode.config.secrets import masked, masked_properties

__all__ = [
    "BrokerConfig",
    "BrokerRole",
    "ConfigError",
    "FlushDiskType",
    "Loaded",
    "NameserverConfig",
    "NodeKind",
    "PropertiesText",
    "Property",
    "SetAside",
    "check_properties",
    "config_properties",
    "delays_ms",
    "load_broker_config",
    "load_nameserver_config",
    "masked",
    "masked_properties",
    "never_reason",
    "overlay_files",
    "overlay_path",
    "parse_properties",
    "read_delay_levels",
    "read_overlay",
    "read_refused",
    "refused_path",
    "render_properties",
]
