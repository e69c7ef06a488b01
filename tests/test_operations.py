"""Pages for operators that need no running service."""

from importlib.resources import files
from typing import Any

import pytest

from matcher.errors import NotFound
from matcher.operations import ASSETS, api_page, schema_asset


@pytest.mark.parametrize("name", ASSETS)
def test_the_api_pages_files_come_with_a_package(name: str) -> None:
    response: Any = schema_asset.fn(name)
    assert response.content == files("swagger_ui").joinpath("static", name).read_bytes()
    assert response.media_type == ASSETS[name]


@pytest.mark.parametrize("name", ["", "index.html", "../__init__.py", "swagger-ui.css.map"])
def test_other_files_are_not_given_away(name: str) -> None:
    with pytest.raises(NotFound):
        schema_asset.fn(name)


def test_the_api_page_names_only_our_own_files() -> None:
    page = api_page()
    for address in (page.js_url, page.css_url, page.standalone_preset_js_url):
        assert address.removeprefix("/schema-assets/") in ASSETS
