"""Small charts as SVG, made here: what a memory limit was over time, how often an alert came.

Called by `incident_page`. Colours and sizes are the style sheet's; each chart says in words what it shows.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup, escape

WIDTH, HEIGHT, EDGE = 480, 140, 26
FEWEST_BARS, MOST_BARS = 8, 26


def occurrences(moments: Sequence[datetime]) -> Markup | None:
    """Bars: how many of these moments fell into each week, two months to half a year back; None for fewer than two."""
    if len(moments) < 2:
        return None
    last = max(moments)
    weeks = Counter((last - moment) // timedelta(weeks=1) for moment in moments)
    shown = max(FEWEST_BARS, min(MOST_BARS, max(weeks) + 1))
    counts = [weeks.get(week, 0) for week in reversed(range(shown))]
    most, step = max(counts), (WIDTH - EDGE) / shown
    bars = Markup("").join(
        Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            EDGE + place * step + 1, HEIGHT - EDGE - height, max(step - 2, 1), height
        )
        for place, count in enumerate(counts)
        for height in [count / most * (HEIGHT - 2 * EDGE)]
    )
    first = last - timedelta(weeks=shown - 1)
    said = f"{sum(counts)} occurrences in {shown} weeks, at most {most} in one of them"
    return _chart(said, bars, low="0", high=str(most), begin=f"{first:%Y-%m-%d}", end=f"{last:%Y-%m-%d}")


def values(points: Sequence[tuple[datetime, int, str]]) -> Markup | None:
    """Steps: a value over time, each point with how it is written; None for fewer than two."""
    if len(points) < 2:
        return None
    begin, end = points[0][0], points[-1][0]
    length = max((end - begin).total_seconds(), 1.0)
    most = max(value for _, value, _ in points) or 1
    places = [
        (
            EDGE + (moment - begin).total_seconds() / length * (WIDTH - 2 * EDGE),
            HEIGHT - EDGE - value / most * (HEIGHT - 2 * EDGE),
        )
        for moment, value, _ in points
    ]
    path = f"M{places[0][0]:.1f} {places[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
    dots = Markup("").join(
        Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(x, y) for x, y in places
    )
    said = "; ".join(f"{moment:%Y-%m-%d}: {text}" for moment, _, text in points)
    line = Markup('<path class="step-line" d="{}"/>').format(path)
    highest = max(points, key=lambda point: point[1])[2]
    return _chart(said, line + dots, low="0", high=highest, begin=f"{begin:%Y-%m-%d}", end=f"{end:%Y-%m-%d}")


def _chart(said: str, drawn: Markup, *, low: str, high: str, begin: str, end: str) -> Markup:
    base = HEIGHT - EDGE
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}">'
        '<line class="axis" x1="{edge}" y1="{base}" x2="{width}" y2="{base}"/>'
        "{drawn}"
        '<text class="tick" x="0" y="{base}">{low}</text><text class="tick" x="0" y="14">{high}</text>'
        '<text class="tick" x="{edge}" y="{foot}">{begin}</text>'
        '<text class="tick" x="{width}" y="{foot}" text-anchor="end">{end}</text></svg>'
    ).format(
        width=WIDTH, height=HEIGHT, said=said, edge=EDGE, base=base, drawn=drawn, low=low, high=escape(high),
        foot=HEIGHT - 4, begin=begin, end=end,
    )  # fmt: skip
