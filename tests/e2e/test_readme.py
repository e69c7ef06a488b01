"""The README's tour works when it is followed literally."""

import os
import re
import subprocess

from matcher.settings import repository_root
from tests.e2e.processes import Child, Service

TOUR = re.compile(r"<!-- tour: .*? -->\n```sh\n(.*?)```", re.DOTALL)


def test_tour_ends_with_an_accepted_quote(service: Service, process_a: Child) -> None:
    readme = (repository_root() / "README.md").read_text("utf-8")
    tour = TOUR.search(readme)
    assert tour, "the README has its tour"
    ran = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", tour[1]],
        cwd=repository_root(),
        env=os.environ | service.environment | {"SERVICE": process_a.url},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "\n50.00\naccepted\n" in ran.stdout
    assert '"status": "won"' in ran.stdout
