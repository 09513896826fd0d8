"""Charts: lines and points over time, drawn from figures, told again in words.

Rule: what the colours tell is told by the shape too, the words beside a chart tell what it shows,
and its colours are the stylesheet's, so that they follow the theme. A float is good enough for a
place on a screen; nothing is computed with it. It must not know orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from nicegui import ui

from starters.dashboard.parts import Text, attribute, box

_SHORT_S = 5
MAX_POINTS = 600
"""Of one series; of more, every so many are left out, never the last."""
Point = tuple[datetime, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points by time. `look`: line, step (holds until the next), dots; `dash`: solid, dashed,
    dotted; `symbol` as the library names it."""

    name: str
    points: Sequence[Point]
    colour: str
    look: str = "line"
    dash: str = "solid"
    symbol: str = "circle"


class Chart:
    """One chart with its words, which are also what a screen reader reads in its place."""

    def __init__(self, *, from_zero: bool = False) -> None:
        self._from_zero = from_zero
        self._drawn: Sequence[Series] = ()
        with box("figure", "chart"):
            with box("div", "drawing", role="img") as self._frame:
                self._chart = ui.echart(_options((), from_zero), renderer="svg")
            self._words = Text("figcaption", "")

    def show(self, series: Sequence[Series], words: str) -> None:
        """Draw these, if they are others."""
        self._words.show(words)
        attribute(self._frame, "aria-label", words)
        if series == self._drawn:
            return
        self._drawn = series
        self._chart.options.clear()
        self._chart.options.update(_options(series, self._from_zero))
        self._chart.update()

    def set_visibility(self, is_visible: bool) -> None:
        """Show it, or leave it out."""
        if self._frame.visible != is_visible:
            self._frame.set_visibility(is_visible)


def _options(series: Sequence[Series], from_zero: bool) -> dict[str, Any]:
    text = {"color": "var(--muted)", "fontSize": 12}
    line = {"lineStyle": {"color": "var(--line-strong)"}}
    grid = {"lineStyle": {"color": "var(--chart-grid)"}}
    return {
        "animation": False,
        "useUTC": True,
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif"},
        "grid": {"left": 8, "right": 18, "top": 40, "bottom": 6, "containLabel": True},
        "legend": {
            "type": "scroll",  # one row, also on a phone
            "pageIconColor": "var(--accent)",
            "pageIconInactiveColor": "var(--line-strong)",
            "pageTextStyle": text,
            "top": 0,
            "left": 0,
            "itemGap": 16,
            "textStyle": text,
            "data": [_legend(each) for each in series],
        },
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            "backgroundColor": "var(--surface)",
            "borderColor": "var(--line-strong)",
            "textStyle": {"color": "var(--text)", "fontSize": 12},
        },
        "xAxis": {
            "type": "time",
            "axisLabel": {**text, "hideOverlap": True, **_precision(series)},
            "axisLine": line,
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "scale": not from_zero,
            "axisLabel": text,
            "splitLine": grid,
        },
        "series": [_drawn(each) for each in series],
    }


def _drawn(series: Series) -> dict[str, Any]:
    points = [[at.timestamp() * 1000, float(value)] for at, value in thinned(series.points)]
    drawn: dict[str, Any] = {
        "name": series.name,
        "data": points,
        "itemStyle": {"color": series.colour},
    }
    if series.look == "dots":
        edge = {"color": series.colour, "borderColor": "var(--surface)", "borderWidth": 1}
        return {
            **drawn,
            "type": "scatter",
            "symbol": series.symbol,
            "symbolSize": 11,
            "itemStyle": edge,
            "z": 3,
        }
    return {
        **drawn,
        "type": "line",
        "step": "end" if series.look == "step" else False,
        "symbol": "none" if len(points) > 1 else "circle",
        "lineStyle": {"color": series.colour, "width": 2, "type": series.dash},
    }


def _legend(series: Series) -> dict[str, Any]:
    """A line is shown as its line only, as it is in the chart; points as their symbol."""
    is_line = series.look != "dots"
    return {"name": series.name} | ({"itemStyle": {"opacity": 0}} if is_line else {})


def _precision(series: Sequence[Series]) -> dict[str, Any]:
    """Parts of seconds where the whole of it took few."""
    times = [at for each in series for at, _value in each.points]
    is_short = bool(times) and (max(times) - min(times)).total_seconds() < _SHORT_S
    return {"formatter": "{HH}:{mm}:{ss}.{SSS}"} if is_short else {}


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """At most about MAX_POINTS of them, the first and the last among them."""
    if len(points) <= MAX_POINTS:
        return points
    every = -(-len(points) // MAX_POINTS)
    kept = list(points[::every])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
