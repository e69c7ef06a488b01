"""The story as one sees it: a live screen on a terminal, a line now and then elsewhere.

Owns: the rendering. Must not change anything: it reads the scene.
"""

import asyncio

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from matcher.demo.journal import Asked, PlacedOrder
from matcher.demo.scene import News, Scene
from matcher.demo.summary import latency_line

_SCREEN_EVERY_S = 0.25
_LINE_EVERY_S = 5.0
_FIXED_LINES = 7  # the header, two rules, and the last line: a terminal written to its last cell scrolls
_LEAST_NEWS = 5
_STATUS_STYLES = {
    "submitted": "white",
    "quoted": "cyan",
    "accepted": "green",
    "processing": "green",
    "shipped": "green",
    "delivered": "bold green",
    "expired": "yellow",
    "cancelled": "yellow",
}


class Screen:
    """A rich renderable that fits whatever size the terminal has at the moment."""

    def __init__(self, scene: Scene, orders: int, origin: str) -> None:
        self._scene = scene
        self._orders = orders
        self._origin = origin

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.size.height
        free = max(height - _FIXED_LINES, 2)
        news_lines = max(min(_LEAST_NEWS, free // 2), free // 3)
        yield Group(
            self._header(width),
            Rule("orders", style="dim"),
            _orders_table(self._scene, free - news_lines, width),
            Rule("what happens", style="dim"),
            _news(list(self._scene.news)[-news_lines:], width),
        )

    def _header(self, width: int) -> RenderableType:
        scene = self._scene
        lines = (
            f"Clutch matcher demo · {scene.elapsed_s:.0f} s · times of the story pass {scene.pace.speed:g}x faster",
            f"{self._origin}/schema · {scene.sockets} sockets · {scene.journal.frames:,} frames",
            counts_line(scene, self._orders),
            latencies_line(scene),
        )
        styles = ("bold", "dim", "", "magenta")
        texts = [Text(line, style) for line, style in zip(lines, styles, strict=True)]
        for text in texts:
            text.truncate(width, overflow="ellipsis")
        return Group(*texts)


async def show(scene: Scene, console: Console, orders: int, origin: str) -> None:
    """Show the scene until cancelled."""
    if console.is_terminal:
        with Live(Screen(scene, orders, origin), console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.refresh()
                await asyncio.sleep(_SCREEN_EVERY_S)
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        line = f"{scene.elapsed_s:4.0f} s  {counts_line(scene, orders)}  {latencies_line(scene)}"
        console.print(line, soft_wrap=True, highlight=False)


def counts_line(scene: Scene, orders: int) -> str:
    """Where the orders are, in one line."""
    statuses = scene.journal.count_orders()
    counts = scene.journal.counts
    is_open = statuses["submitted"] + statuses["quoted"]
    won = statuses["accepted"] + statuses["processing"] + statuses["shipped"]
    return (
        f"orders {counts['orders']}/{orders}: {is_open} open, {won} won, {statuses['delivered']} delivered, "
        f"{statuses['expired']} expired, {statuses['cancelled']} cancelled · {counts['quotes']} quotes"
    )


def latencies_line(scene: Scene) -> str:
    """The latencies so far, p50 / p99."""
    journal = scene.journal
    return (
        f"p50/p99: submit {latency_line(journal, 'submit')}, to shop {latency_line(journal, 'submit to first shop')}, "
        f"quote {latency_line(journal, 'quote to customer')}"
    )


def _orders_table(scene: Scene, lines: int, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=lines > 3, expand=True)
    table.add_column("order", width=8, no_wrap=True)
    table.add_column("where", ratio=3, no_wrap=True)
    table.add_column("vehicle", ratio=4, no_wrap=True)
    table.add_column("asked", width=14, no_wrap=True)
    if width >= 100:
        table.add_column("nearest", ratio=5, no_wrap=True)
    table.add_column("quotes", width=11, no_wrap=True)
    table.add_column("now", width=10, no_wrap=True)
    rows = lines - 1 if table.show_header else lines
    for order in list(scene.journal.orders.values())[-rows:]:
        cells = _order_cells(order, scene.journal.asked.get(order.body["id"], []))
        if width < 100:
            del cells[4]
        table.add_row(*cells)
    return table


def _order_cells(order: PlacedOrder, asked: list[Asked]) -> list[RenderableType]:
    view = order.view
    vehicle = f"{view['vehicle']['make']} {view['vehicle']['model']}"
    dispatch = view["dispatch"]
    if dispatch["shopsNotified"]:
        who = f"{dispatch['shopsNotified']} ≤ {dispatch['radiusM'] / 1000:.1f} km"
    else:
        who = {"no_shop_in_range": "none in range"}.get(str(dispatch["reason"]), "none for make")
    nearest = min(asked, default=None)
    near = f"{nearest.shop_name} {nearest.distance_m / 1000:.1f} km" if nearest else ""
    status = order.status
    return [
        order.number,
        Text(order.plan.where),
        Text(vehicle),
        who,
        Text(near),
        _quotes_cell(order),
        Text(status, _STATUS_STYLES.get(status, "")),
    ]


def _quotes_cell(order: PlacedOrder) -> str:
    if order.accepted is not None:
        return f"took {order.accepted['totalPrice']}"
    quotes = order.customer.list_quotes(order.body["id"], "active")
    if not quotes:
        return ""
    lowest = min((quote["totalPrice"] for quote in quotes), key=float)
    return f"{len(quotes)} ≥ {lowest}"


def _news(news: list[News], width: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for item in news:
        line = Text(f"{item.at_s:4.0f} s  {item.text}", item.style)
        line.truncate(width, overflow="ellipsis")
        text.append_text(line).append("\n")
    text.right_crop(1)
    return text
