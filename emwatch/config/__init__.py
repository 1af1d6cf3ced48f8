"""
What the operator configures: one frozen tree, from flags, the environment and files.

`load` is the way in. Only this package knows YAML and pydantic.
"""

from emwatch.config.document import Origin
from emwatch.config.load import Loaded, load, load_alone
from emwatch.config.schema import Config
from emwatch.config.sources import Leaf, leaf_keys

__all__ = ["Config", "Leaf", "Loaded", "Origin", "leaf_keys", "load", "load_alone"]
