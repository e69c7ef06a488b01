"""How fast are the ten nearest eligible shops found, and are they the right ones?

Against SciPy's cKDTree, PostGIS (KNN over a composite GiST index) and Redis GEOSEARCH on 100,000 shops with 400,000
shop-make pairs; ours hot, cold, and on a stream of orders; and ours from 1,000 to 1,000,000 shops. Exit status 1 if
an answer of ours is wrong; missed ratios are shown.
"""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from _contestants import EveryShop, KdTree, KdTreeQuery, Ours, PostGis, RedisGeo, Shops, by_make
from _report import Report
from _world import Question, World

from matcher.geo.index import Site
from matcher.geo.types import Place
from matcher.stack import Stack


class Form(msgspec.Struct, frozen=True):
    """How much is measured."""

    shops: int
    rounds: int
    questions: int  # a round, in process
    postgis_questions: int  # a round
    redis_questions: int  # a round
    checked: int
    stream: int
    sizes: tuple[int, ...]


FULL = Form(100_000, 7, 2_000, 200, 500, 10_000, 200_000, (1_000, 10_000, 100_000, 1_000_000))
QUICK = Form(10_000, 3, 500, 50, 200, 1_000, 10_000, (1_000, 10_000))


@click.command()
@click.option("--quick", is_flag=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(quick: bool, json_file: Path | None) -> None:
    """Measure matching."""
    form = QUICK if quick else FULL
    report = Report(f"ten nearest eligible of {form.shops:,} shops")
    world = World(seed=1)
    sites = list(world.sites(form.shops))
    wrong = _peers(form, world, sites, report)
    _stream(form, world, sites, report)
    _sizes(form, report)
    report.show()
    if json_file:
        report.write(json_file)
    sys.exit(1 if wrong else 0)


def _peers(form: Form, world: World, sites: list[Site], report: Report) -> int:
    """All contestants in rounds; returns how many answers of ours are wrong."""
    shops = by_make(sites)
    began_s = time.perf_counter()
    hot, cold = Ours(sites), Ours(sites, hot_capacity=0)
    report.fact("build of an index, s", round((time.perf_counter() - began_s) / 2, 2))
    tree = KdTree(shops)
    regions = [_order(world) for _ in range(form.questions)]
    for _ in range(3):
        hot.answers(regions)
    # Where an entry would not pay, a region is never hot; measured are the questions of those that are.
    hot_questions = _hot_questions(hot, regions, form.questions)
    postgis, redis_geo = _servers(sites, shops)
    try:
        report.fact("load from PostgreSQL into a fresh index, s", _loading_s(postgis))
        for _ in range(form.rounds):
            near = [_nearby(world, question) for question in hot_questions]
            fresh = [_order(world) for _ in range(form.questions)]
            _time(report, "ours, hot", hot, near)
            _time(report, "cKDTree, the hot questions", tree, near)
            _time(report, "cKDTree, query alone", KdTreeQuery(tree), near)
            _time(report, "ours, cold", cold, fresh)
            _time(report, "cKDTree", tree, fresh)
            _time(report, "PostGIS", postgis, fresh[: form.postgis_questions])
            _time(report, "Redis", redis_geo, fresh[: form.redis_questions])
        report.ratio("ours, hot", "cKDTree, the hot questions", 0.25)
        report.ratio("ours, cold", "cKDTree", 3.0)
        # For the eye: the peer without make, area, status and distances of its answer.
        report.ratio("ours, hot", "cKDTree, query alone")
        for peer in ("PostGIS", "Redis"):
            report.ratio("ours, cold", peer)
        return _checked(
            form, world, report, EveryShop(shops), [("ours", hot), ("cold", cold)], tree, redis_geo
        )
    finally:
        postgis.close()
        redis_geo.close()


def _checked(
    form: Form,
    world: World,
    report: Report,
    every: EveryShop,
    ours: list[tuple[str, Ours]],
    tree: KdTree,
    redis_geo: RedisGeo,
) -> int:
    questions = [_order(world) for _ in range(form.checked // 2)]
    questions *= 2  # the second time many regions are hot
    right = every.answers(questions)
    report.fact("answers in the mean", round(sum(map(len, right)) / len(right), 2))
    wrong = 0
    for name, contestant in ours:
        plain = [[(hit.id, hit.distance_mm) for hit in hits] for hits in contestant.answers(questions)]
        wrong += (ours_wrong := _differing(plain, right))
        report.fact(f"wrong answers of {len(questions):,}: {name}", ours_wrong)
    report.fact(f"wrong answers of {len(questions):,}: cKDTree", _differing(tree.answers(questions), right))
    few = questions[: form.redis_questions]
    report.fact(
        f"wrong answers of {len(few):,}: Redis", _differing(redis_geo.answers(few), right[: len(few)])
    )
    return wrong


def _stream(form: Form, world: World, sites: list[Site], report: Report) -> None:
    """Orders as they come, on an index that begins with nothing hot."""
    for name, source in (("taxi", world.trip_question), ("mixed", lambda: _order(world))):
        ours = Ours(sites)
        stream = [source() for _ in range(form.stream)]
        step = form.stream // form.rounds
        for start in range(0, step * form.rounds, step):
            _time(report, f"ours, {name} orders", ours, stream[start : start + step])
        stats = ours.index.stats()
        share = stats.hot_hits / (stats.hot_hits + stats.cold_searches)
        report.fact(f"hot share of {form.stream:,} {name} orders", f"{share:.1%}")
        report.fact(f"hot cells after them ({name})", stats.hot_cells)


def _sizes(form: Form, report: Report) -> None:
    """Ours at growing sizes: more cities, a thousand shops in each."""
    names = []
    for size in form.sizes:
        world = World(seed=2, cities=size // 1_000)
        sites = list(world.sites(size))
        hot, cold = Ours(sites), Ours(sites, hot_capacity=0)
        regions = [world.question() for _ in range(form.questions)]
        for _ in range(3):
            hot.answers(regions)
        regions = _hot_questions(hot, regions, form.questions)
        names.append(f"hot at {size:,}")
        for _ in range(form.rounds):
            _time(report, names[-1], hot, [_nearby(world, question) for question in regions])
            _time(report, f"cold at {size:,}", cold, [world.question() for _ in range(form.questions)])
    report.ratio(names[-1], names[0], 2.0)
    report.ratio(names[-1].replace("hot", "cold"), names[0].replace("hot", "cold"))


def _time(report: Report, name: str, contestant: Any, questions: Sequence[Question]) -> None:
    # What computes in this thread is charged for its processor time, so that a neighbour on the machine does not
    # count; servers for the time that one waits for them.
    clock = time.perf_counter if isinstance(contestant, PostGis | RedisGeo) else time.thread_time
    began_s = clock()
    contestant.answers(questions)
    report.time(name, (clock() - began_s) / len(questions) * 1e6)


def _order(world: World) -> Question:
    return world.trip_question() if world.random.random() < 0.5 else world.question()


def _nearby(world: World, question: Question) -> Question:
    """The same make some metres away."""
    make, place = question
    latitude = place.latitude + world.random.gauss(0, 2e-5)
    return make, Place(latitude=latitude, longitude=place.longitude + world.random.gauss(0, 2e-5))


def _hot_questions(ours: Ours, questions: list[Question], count: int) -> list[Question]:
    hot = []
    for question in questions:
        before = ours.index.stats().hot_hits
        ours.answers([question])
        if ours.index.stats().hot_hits > before:
            hot.append(question)
    return (hot * count)[:count]


def _differing(answers: list[Any], right: list[Any]) -> int:
    return sum(a != b for a, b in zip(answers, right, strict=True))


def _loading_s(postgis: PostGis) -> float:
    began_s = time.perf_counter()
    postgis.load()
    return round(time.perf_counter() - began_s, 2)


def _servers(sites: list[Site], shops: dict[str, Shops]) -> tuple[PostGis, RedisGeo]:
    """The outside servers if they are named, else the embedded stack."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if not (database_url and redis_url):
        status = Stack.for_checkout().up()
        database_url, redis_url = database_url or status.database_url, redis_url or status.redis_url
    assert database_url, "a stack that is up has a database"
    assert redis_url, "a stack that is up has a Redis"
    mark = secrets.token_hex(4)
    redis_geo = RedisGeo(redis_url, f"bench:{mark}:", shops, sites)
    bound_m = max(group.reach_m for group in shops.values())
    return PostGis(database_url, f"matcher_bench_{mark}", sites, bound_m), redis_geo


if __name__ == "__main__":
    main()
