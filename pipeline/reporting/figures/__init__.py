"""Figures: numbers as SVG text. Every function is pure, so equal arguments give equal text.

| module | what it draws |
|---|---|
| :mod:`.curves` | metrics over the training step |
| :mod:`.clipping_map` | the smallest clipping factor of each layer over the training step |
| :mod:`.day_map` | rows of each day of a log, and shifts of its columns |
| :mod:`.cell_map` | colored cells, row names and the color scale, for both maps |
| :mod:`.step_axis` | the axis of the training step, event marks and crosses for values that are not finite |
| :mod:`.value_axis` | scale, limits and tick labels of a value axis |
| :mod:`.palette` | colors and line styles |
| :mod:`.svg` | a matplotlib figure as inline SVG for an HTML page |

Each figure has two versions, for the width of a phone and the width of a page, so that its text stays legible.
"""
