"""Configs: YAML files that are checked against the constructors they name, before anything is built."""

from dettoolkit.config.explain import explain
from dettoolkit.config.files import config_files
from dettoolkit.config.plugins import import_plugins
from dettoolkit.config.resolve import Resolved, dump_config, load_config, resolve_config
from dettoolkit.config.run_keys import RUN_SCHEMA

__all__ = [
    "RUN_SCHEMA",
    "Resolved",
    "config_files",
    "dump_config",
    "explain",
    "import_plugins",
    "load_config",
    "resolve_config",
]
