"""What a migration may do while the previous release still runs (docs/guides/migrations.md), as a check.

Owns: the rules. Pure: a revision is rendered to SQL without a database, and its statements are judged one by one.
What the rules do not know is refused, so that nothing passes for being unusual.
"""

import io
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<string>'(?:[^']|'')*')|(?P<body>(\$\w*\$).*?\4)"
    r"|\"(?P<name>[^\"]*)\"|(?P<end>;)|(?P<other>.)",
    re.DOTALL,
)
_RELEASE = re.compile(r"\d+\.\d+\.\d+")
_TABLE = r"(?:PUBLIC\.)?(?P<table>\w+)"


@dataclass(frozen=True)
class Revision:
    """A migration script: its statements, and what it says of itself."""

    name: str
    statements: tuple[str, ...]
    contract: bool
    unneeded_since: str | None


@dataclass
class _State:
    """What the statements before have done."""

    created: set[str] = field(default_factory=set)
    in_transaction: bool = True
    lock_timeout: bool = False


def read_revision(module: Any) -> Revision:
    """The revision of a loaded script. What it asks the database arrives as a statement, and is refused."""
    output = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output}
    )
    with Operations.context(context):
        module.upgrade()
    return Revision(
        module.revision,
        tuple(split(output.getvalue())),
        getattr(module, "contract", False),
        getattr(module, "unneeded_since", None),
    )


def split(script: str) -> Iterator[str]:
    """The statements in capitals on one line each, without comments and the content of strings.

    A setting keeps its value.
    """
    statement: list[str] = []
    for token in _TOKEN.finditer(script):
        if token["end"]:
            yield from _whole(statement)
            statement = []
        elif token["comment"]:
            statement.append(" ")
        else:
            setting = "".join(statement).lstrip().upper().startswith("SET ")
            blank = "$$" if token["body"] else "''" if token["string"] and not setting else token["string"]
            statement.append(blank or token["name"] or token["other"] or "")
    yield from _whole(statement)


def broken_rules(revision: Revision, releases: Collection[str]) -> list[str]:
    """Each rule that the revision breaks, with the statement. `releases`: those that are out."""
    found = list(_marker(revision, releases))
    state = _State()
    for statement in revision.statements:
        found += [
            f"{revision.name}: {rule}: {statement}"
            for rule in _judge(statement, state)
            if not (revision.contract and rule.startswith(BREAKS))
        ]
    return found


BREAKS = "breaks the previous release"
_LOCKS = "locks or rewrites a table"


def _marker(revision: Revision, releases: Collection[str]) -> Iterator[str]:
    if revision.contract and not _RELEASE.fullmatch(revision.unneeded_since or ""):
        yield f"{revision.name}: contract = True needs unneeded_since = the release that stopped needing it"
    elif revision.contract and revision.unneeded_since not in releases:
        yield f"{revision.name}: {revision.unneeded_since} is not out; the release before it still needs this"


def _judge(statement: str, state: _State) -> Iterator[str]:
    if statement in ("BEGIN", "COMMIT"):
        state.in_transaction, state.lock_timeout = statement == "BEGIN", False
        return
    if setting := re.match(r"SET LOCAL LOCK_TIMEOUT (?:=|TO) (?P<value>.+)", statement):
        state.lock_timeout = state.in_transaction and setting["value"].strip("'") != "0"
        return
    for pattern, rule in _RULES:
        if match := pattern.match(statement):
            table = match.groupdict().get("table")
            if table not in state.created:
                yield from rule(match, state)
            return
    yield f"is not known to this check ({__name__})"


def _fine(match: re.Match[str], state: _State) -> Iterator[str]:
    yield from ()


def _create_table(match: re.Match[str], state: _State) -> Iterator[str]:
    state.created.add(match["table"])
    yield from ()


def _index(match: re.Match[str], state: _State) -> Iterator[str]:
    if not match["concurrently"]:
        yield f"{_LOCKS}; write CONCURRENTLY in an autocommit_block"
    elif state.in_transaction:
        yield "CONCURRENTLY runs in `with op.get_context().autocommit_block()` only"
    if match.groupdict().get("unique"):
        yield f"{BREAKS}, which may write doubles"


def _drop_index(match: re.Match[str], state: _State) -> Iterator[str]:
    yield f"{BREAKS}, whose queries or ON CONFLICT may need it"
    yield from _index(match, state)


def _locking(match: re.Match[str], state: _State) -> Iterator[str]:
    if not state.lock_timeout:
        yield "may queue everybody behind it; begin with SET LOCAL lock_timeout = '5s'"


def _drop(match: re.Match[str], state: _State) -> Iterator[str]:
    yield f"{BREAKS}, which uses it"
    yield from _locking(match, state)


def _rows(match: re.Match[str], state: _State) -> Iterator[str]:
    yield "changes rows; a backfill runs in small batches after the release, not in a migration"


def _hidden(match: re.Match[str], state: _State) -> Iterator[str]:
    yield "hides what it does; write plain statements"


def _alter_table(match: re.Match[str], state: _State) -> Iterator[str]:
    yield from _locking(match, state)
    for action in _actions(match["actions"]):
        for pattern, rule in _ACTIONS:
            if found := pattern.match(action):
                yield from rule(found, state)
                break
        else:
            yield f"is not known to this check ({__name__})"


def _add_column(match: re.Match[str], state: _State) -> Iterator[str]:
    definition = match["definition"]
    default = re.search(r"\bDEFAULT (?P<value>.+)", definition)
    if "NOT NULL" in definition and not default:
        yield f"{BREAKS}, which does not fill it; give it a DEFAULT"
    volatile = default and "(" in default["value"] and not re.match(r"NOW\(\)", default["value"])
    if volatile or re.search(r"\b(?:SMALL|BIG)?SERIAL\b|\bGENERATED\b", definition):
        yield f"{_LOCKS}; add the column first, then SET DEFAULT"


def _add_constraint(match: re.Match[str], state: _State) -> Iterator[str]:
    yield f"{BREAKS}, which does not know the constraint"
    definition = match["definition"]
    if "NOT VALID" not in definition and "USING INDEX" not in definition:
        yield f"{_LOCKS}; write NOT VALID and VALIDATE CONSTRAINT later, or USING INDEX"


def _drop_constraint(match: re.Match[str], state: _State) -> Iterator[str]:
    if not match["name"].endswith(("_CHECK", "_FKEY")):
        yield f"{BREAKS}, whose ON CONFLICT may need it"


def _change(match: re.Match[str], state: _State) -> Iterator[str]:
    yield f"{BREAKS}, which relies on what was"


def _change_type(match: re.Match[str], state: _State) -> Iterator[str]:
    yield from _change(match, state)
    yield f"{_LOCKS}; add a column of the new type, fill it, drop the old one"


_Rule = Callable[[re.Match[str], _State], Iterator[str]]


def _compiled(*rules: tuple[str, _Rule]) -> list[tuple[re.Pattern[str], _Rule]]:
    return [(re.compile(pattern), rule) for pattern, rule in rules]


_THINGS = "TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|PROCEDURE|TYPE|SCHEMA|SEQUENCE|EXTENSION|TRIGGER|DOMAIN"
_RULES = _compiled(
    (rf"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_TABLE}", _create_table),
    (
        r"CREATE (?P<unique>UNIQUE )?INDEX (?P<concurrently>CONCURRENTLY )?(?:IF NOT EXISTS )?(?:\w+ )?"
        rf"ON (?:ONLY )?{_TABLE}",
        _index,
    ),
    (r"DROP INDEX (?P<concurrently>CONCURRENTLY )?", _drop_index),
    (r"REINDEX (?:INDEX|TABLE) (?P<concurrently>CONCURRENTLY )?", _index),
    (rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {_TABLE}", _locking),
    (r"CREATE (?:OR REPLACE )?(?:FUNCTION|VIEW|TYPE|SEQUENCE|SCHEMA|DOMAIN|EXTENSION) ", _fine),
    (r"ALTER TYPE \w+ ADD VALUE |COMMENT ON |GRANT ", _fine),
    (rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_TABLE} (?P<actions>.+)", _alter_table),
    (rf"DROP (?:{_THINGS}) |TRUNCATE |ALTER \w+ .*\bRENAME\b", _drop),
    (rf"(?:INSERT INTO|UPDATE|DELETE FROM) (?:ONLY )?{_TABLE}|WITH ", _rows),
    (r"DO ", _hidden),
)
_ACTIONS = _compiled(
    (r"ADD CONSTRAINT (?P<name>\w+) (?P<definition>.+)", _add_constraint),
    (r"ADD (?P<definition>(?:CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b.*)", _add_constraint),
    (r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?\w+ (?P<definition>.+)", _add_column),
    (r"DROP CONSTRAINT (?:IF EXISTS )?(?P<name>\w+)", _drop_constraint),
    (r"VALIDATE CONSTRAINT |SET \(|RESET \(", _fine),
    (r"ALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE ", _change_type),
    (r"ALTER (?:COLUMN )?\w+ (?:SET DEFAULT|DROP NOT NULL|SET STATISTICS|SET STORAGE)\b", _fine),
    (r"ALTER (?:COLUMN )?\w+ (?:SET NOT NULL|DROP DEFAULT)\b", _change),
    (r"DROP |RENAME ", _change),
)


def _actions(text: str) -> list[str]:
    """The comma separated actions of an ALTER TABLE; commas in parentheses belong to their action."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _whole(parts: list[str]) -> Iterator[str]:
    statement = " ".join("".join(parts).upper().split())
    if statement:
        yield statement
