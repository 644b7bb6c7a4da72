"""Finding, checking and loading plugins. Nothing is imported that the command at hand does not need."""

from .config import Config, load_config
from .plugins import PluginRow, Plugins

__all__ = ["Config", "PluginRow", "Plugins", "load_config"]
