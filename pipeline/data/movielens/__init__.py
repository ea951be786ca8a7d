"""MovieLens as a log: each rating is an impression, and each period of ratings is a day.

TensorFlow Datasets downloads and prepares the data. :class:`MovielensLog` is the source; its parts are:

| module | content |
|---|---|
| :mod:`.log` | the source, and its schema |
| :mod:`.ratings` | finds, downloads and reads the ratings |
| :mod:`.features` | features of a user and a movie just before a rating |
| :mod:`.history` | exact counts, sums and recent rows before each row |
"""

from .features import Ratings
from .log import MovielensLog
from .ratings import read_ratings

__all__ = ["MovielensLog", "Ratings", "read_ratings"]
