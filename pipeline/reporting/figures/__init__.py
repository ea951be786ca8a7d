"""Drawings: numbers to SVG text. Every function is pure: equal arguments give equal text.

| module | what it draws |
|---|---|
| :mod:`.curves` | metrics over the training step |
| :mod:`.clipping_map` | the smallest clipping factor of each layer over the training step |
| :mod:`.day_map` | rows of each day of a log, and how far its columns moved |
| :mod:`.cell_map` | colored cells, row names and the color scale, for both maps |
| :mod:`.step_axis` | the axis of the training step, event marks and crosses for values that are not finite |
| :mod:`.value_axis` | scale, limits and tick labels of a value axis |
| :mod:`.palette` | colors and line styles |
| :mod:`.svg` | a matplotlib figure as SVG that can stand inside an HTML page |

Each figure is drawn at the width at which it is read, a phone's or a page's, so that its text stays legible.
"""
