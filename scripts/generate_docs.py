"""Writes the pages of docs/reference from the code."""

from matcher.app import create_app
from matcher.reference import pages
from matcher.settings import Settings, repository_root
from matcher.sockets import RULES

folder = repository_root() / "docs" / "reference"
folder.mkdir(parents=True, exist_ok=True)
for name, text in pages(create_app(Settings()), RULES).items():
    (folder / name).write_text(text, encoding="utf-8")
