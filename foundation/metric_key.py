"""The key of a metric: ``kind`` or ``kind/subject``."""

from __future__ import annotations

from typing import NamedTuple


class MetricKey(NamedTuple):
    """The two parts of a metric's key, such as ``loss/click``.

    The subject is everything after the kind. It may contain slashes, because layer names do: in
    ``norm/gradient/shared/layer_0``, the kind is ``norm/gradient``.

    Attributes:
      kind: What is measured: ``loss``, ``auc``, ``clipping_factor``, ``norm/gradient`` …
      subject: The task, layer or feature that is measured; empty for a metric of the whole model.

    Example:
    >>> MetricKey.parse("loss/click")
    MetricKey(kind='loss', subject='click')
    >>> MetricKey.parse("norm/gradient/shared/layer_0").subject
    'shared/layer_0'
    >>> str(MetricKey("auc", "like"))
    'auc/like'
    """

    kind: str
    subject: str = ""

    @classmethod
    def parse(cls, key: str) -> MetricKey:
        """Splits a key into its parts."""
        family, _, remainder = key.partition("/")
        if family in _TWO_PART_KINDS and remainder:
            measure, _, subject = remainder.partition("/")
            return cls(f"{family}/{measure}", subject)
        return cls(family, remainder)

    def __str__(self) -> str:
        return f"{self.kind}/{self.subject}" if self.subject else self.kind


_TWO_PART_KINDS = frozenset({"norm", "nonfinite", "ceiling"})
