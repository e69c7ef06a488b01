"""The screen: it fits the terminal, whatever its size, and shows what happens."""

import asyncio
import io

import pytest
from rich.console import Console

from matcher.demo.draws import Pace, plan_orders
from matcher.demo.journal import Journal, PlacedOrder
from matcher.demo.scene import Scene
from matcher.demo.view import Screen, counts_line


async def a_scene(orders: int) -> Scene:
    journal = Journal()
    async with asyncio.TaskGroup() as group:
        scene = Scene(journal, Pace(240.0), group)
    for number, plan in enumerate(plan_orders(1, orders, 5)):
        customer = journal.model(f"user:{plan.customer}")
        body = {
            "id": f"order-{number}",
            "orderNumber": f"CL-260101-{number:08}",
            "status": "submitted",
            "vehicle": plan.body["vehicle"],
            "dispatch": {"wave": 1, "shopsNotified": 10, "radiusM": 123_456.7, "reason": None}
            if number % 3
            else {"wave": 0, "shopsNotified": 0, "radiusM": None, "reason": "no_shop_in_range"},
            "version": 1,
        }
        journal.record_order(PlacedOrder(plan, body, customer, 0.0), 0.01)
        journal.record_dispatch(f"order-{number}", "مركز قطع غيار السيارات الحديثة", 1_900, 0.02)
        scene.tell(f"[bold]Shop[/bold] {number} quotes " + "and says so at length " * 10)
    return scene


def render(scene: Scene, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(Screen(scene, 120, "http://127.0.0.1:1234"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60), (60, 15)])
async def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    lines = render(await a_scene(100), width, height)
    assert len(lines) < height
    # Rich pads with cells, so width is measured by it (Arabic letters join, but each is one cell).
    console = Console(width=width)
    assert all(console.measure(line).maximum <= width for line in lines)


async def test_the_screen_is_used_when_there_is_much_to_show() -> None:
    lines = render(await a_scene(100), 80, 24)
    assert len(lines) >= 20
    text = "\n".join(lines)
    assert "00000099" in text
    assert "orders 100/120" in text
    assert "none in range" in text
    assert "10 ≤ 123.5 km" in text


async def test_names_are_not_taken_for_markup() -> None:
    assert "[bold]Shop[/bold]" in "\n".join(render(await a_scene(3), 80, 24))


async def test_an_empty_scene_is_shown_too() -> None:
    assert render(await a_scene(0), 80, 24)


async def test_counts_say_where_the_orders_are() -> None:
    scene = await a_scene(4)
    assert counts_line(scene, 9).startswith("orders 4/9: 4 open, 0 won, 0 delivered, 0 expired, 0 cancelled")
