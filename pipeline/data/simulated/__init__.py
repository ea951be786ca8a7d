"""A simulated log of a video platform: any length, no files, hazards on request, and a known ceiling.

Use it for examples and tests without a download, to see how a model reacts to a hazard, and to compare a ranker with
the best possible one. :class:`SimulatedLog` is the source; its parts are:

| module | content |
|---|---|
| :mod:`.log` | the source: impressions, features and labels, block by block |
| :mod:`.world` | the hidden properties of users and videos |
| :mod:`.behavior` | the hidden model of the users: probabilities, expected labels, drawn labels |
| :mod:`.hazards` | planted faults and their days |
| :mod:`.schema` | the columns |
"""

from .hazards import HAZARD_NAMES, Hazard, parse_hazards
from .log import SimulatedLog
from .schema import make_simulated_schema

__all__ = ["HAZARD_NAMES", "Hazard", "SimulatedLog", "make_simulated_schema", "parse_hazards"]
