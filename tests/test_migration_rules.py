"""Expand and contract: every revision leaves the release before it working (docs/guides/migrations.md)."""

import re
from types import ModuleType

import pytest
from alembic.script import ScriptDirectory

from matcher import migrations
from matcher.settings import repository_root
from tests.migration_rules import BREAKS, Revision, broken_rules, read_revision, split

FIRST = "0001"  # made the database: there was nothing before it
TIMEOUT = "op.execute(\"SET LOCAL lock_timeout = '5s'\")"


def made_up(*lines: str, marks: str = "") -> Revision:
    """A revision whose upgrade does this."""
    body = "\n    ".join(lines)
    source = f"import sqlalchemy as sa\nfrom alembic import op\n{marks}\ndef upgrade():\n    {body}\n"
    module = ModuleType("made_up")
    module.__dict__["revision"] = "0002"
    exec(source, module.__dict__)  # noqa: S102  as Alembic runs a script
    return read_revision(module)


def sql(*statements: str, timeout: bool = True, marks: str = "") -> Revision:
    """A revision of plain statements."""
    return made_up(*[TIMEOUT] * timeout, *(f"op.execute({text!r})" for text in statements), marks=marks)


def outside(*statements: str) -> Revision:
    """A revision of statements outside a transaction."""
    block = "with op.get_context().autocommit_block():"
    return made_up(block, *(f"    op.execute({text!r})" for text in statements))


def released() -> list[str]:
    return re.findall(
        r"^## \[(\d+\.\d+\.\d+)\]", (repository_root() / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )


def test_every_revision_after_the_first_keeps_the_rules() -> None:
    scripts = list(ScriptDirectory(str(migrations.FOLDER)).walk_revisions())
    assert scripts[-1].revision == FIRST
    broken = [
        rule for script in scripts[:-1] for rule in broken_rules(read_revision(script.module), released())
    ]
    assert not broken


def test_the_first_revision_is_read_whole_and_could_not_be_written_today() -> None:
    module = ScriptDirectory(str(migrations.FOLDER)).get_revision(FIRST).module
    statements = read_revision(module).statements
    assert sum(statement.startswith("CREATE TABLE ") for statement in statements) > 15
    # Everything in it concerns its own tables.
    assert broken_rules(read_revision(module), []) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE orders ADD COLUMN note TEXT",
        "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT '', ADD seen_at timestamptz DEFAULT now()",
        "ALTER TABLE orders ADD COLUMN price NUMERIC(10, 2) CHECK (price >= 0)",
        'ALTER TABLE ONLY public."orders" ALTER COLUMN note SET DEFAULT gen_random_uuid()',
        "ALTER TABLE orders ALTER note DROP NOT NULL",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_note_check",
        "ALTER TABLE orders DROP CONSTRAINT orders_status_check",
        "ALTER TABLE orders SET (fillfactor = 60)",
        "ALTER TYPE mood ADD VALUE 'fine'",
        "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DROP TABLE orders; SELECT 1 $$",
        "-- DROP TABLE orders;\nCREATE VIEW v AS SELECT 'DROP TABLE orders; --'",
    ],
)
def test_what_the_previous_release_does_not_notice_is_allowed(statement: str) -> None:
    assert broken_rules(sql(statement), []) == []


def test_tables_of_the_revision_itself_are_free() -> None:
    statements = (
        "CREATE TABLE IF NOT EXISTS stock (id uuid)",
        "CREATE UNIQUE INDEX ON stock (id)",
        "CREATE INDEX stock_id_idx ON ONLY stock (id)",
        "ALTER TABLE stock ADD CONSTRAINT stock_pkey PRIMARY KEY (id), ALTER id SET NOT NULL",
        "INSERT INTO stock SELECT id FROM shops",
    )
    assert broken_rules(sql(*statements, timeout=False), []) == []


COMPATIBILITY = [
    "DROP TABLE orders",
    "DROP FUNCTION matcher_now()",
    "DROP TRIGGER shops_changed ON shops",
    "TRUNCATE outbox",
    "ALTER TABLE orders DROP COLUMN tracking",
    "ALTER TABLE orders DROP tracking",
    "ALTER TABLE orders RENAME TO requests",
    "ALTER TABLE orders RENAME COLUMN tracking TO track",
    "ALTER INDEX orders_pkey RENAME TO other",
    "ALTER TABLE orders ADD COLUMN note TEXT, ALTER COLUMN tracking SET NOT NULL",
    "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL",
    "ALTER TABLE orders ALTER urgency DROP DEFAULT",
    "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_pkey",
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (wave < 9) NOT VALID",
    "ALTER TABLE users ADD CONSTRAINT c UNIQUE USING INDEX users_phone_idx",
]


@pytest.mark.parametrize("statement", COMPATIBILITY)
def test_what_breaks_the_previous_release_waits_for_a_contract(statement: str) -> None:
    (rule,) = broken_rules(sql(statement), ["0.4.0"])
    assert BREAKS in rule
    marks = "contract = True; unneeded_since = '0.4.0'"
    assert broken_rules(sql(statement, marks=marks), ["0.4.0"]) == []


@pytest.mark.parametrize(
    ("marks", "complaint"),
    [
        ("contract = True", "needs unneeded_since"),
        ("contract = True; unneeded_since = 'soon'", "needs unneeded_since"),
        ("contract = True; unneeded_since = '0.5.0'", "0.5.0 is not out"),
    ],
)
def test_a_contract_names_a_release_that_is_out(marks: str, complaint: str) -> None:
    (rule,) = broken_rules(sql("DROP TABLE orders", marks=marks), ["0.4.0"])
    assert complaint in rule


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("CREATE INDEX i ON orders (wave)", "CONCURRENTLY in an autocommit_block"),
        ("CREATE INDEX CONCURRENTLY i ON orders (wave)", "autocommit_block"),
        ("CREATE UNIQUE INDEX ON orders (wave)", "CONCURRENTLY in an autocommit_block"),
        ("DROP INDEX orders_open_user_idx", "CONCURRENTLY in an autocommit_block"),
        ("REINDEX TABLE orders", "CONCURRENTLY in an autocommit_block"),
        ("ALTER TABLE orders ALTER COLUMN wave TYPE bigint", "a column of the new type"),
        ("ALTER TABLE orders ALTER wave SET DATA TYPE bigint", "a column of the new type"),
        ("ALTER TABLE orders ADD CONSTRAINT c CHECK (wave < 9)", "NOT VALID"),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)", "NOT VALID"),
        ("ALTER TABLE orders ADD COLUMN at timestamptz NOT NULL DEFAULT matcher_now()", "then SET DEFAULT"),
        ("ALTER TABLE orders ADD COLUMN number BIGSERIAL", "then SET DEFAULT"),
        ("UPDATE orders SET wave = 1", "a backfill"),
        ("DELETE FROM outbox", "a backfill"),
        ("WITH gone AS (DELETE FROM outbox RETURNING id) SELECT 1", "a backfill"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$", "hides what it does"),
        ("CLUSTER orders", "not known"),
        ("LOCK TABLE orders", "not known"),
        ("ALTER TABLE orders DISABLE TRIGGER ALL", "not known"),
    ],
)
def test_what_locks_rewrites_or_hides_is_refused_even_in_a_contract(statement: str, complaint: str) -> None:
    marks = "contract = True; unneeded_since = '0.4.0'"
    assert complaint in " ".join(broken_rules(sql(statement, marks=marks), ["0.4.0"]))


@pytest.mark.parametrize("before", ["", "SET LOCAL lock_timeout = 0", "SET LOCAL lock_timeout = '0'"])
def test_a_lock_is_not_waited_for_without_a_bound(before: str) -> None:
    statements = [before] * bool(before) + ["ALTER TABLE orders ADD COLUMN note TEXT"]
    (rule,) = broken_rules(sql(*statements, timeout=False), [])
    assert "SET LOCAL lock_timeout" in rule


def test_the_bound_ends_with_its_transaction() -> None:
    block = ("with op.get_context().autocommit_block():", "    op.execute('CREATE TYPE a AS ENUM ()')")
    add = "op.add_column('orders', sa.Column('note', sa.Text))"
    assert broken_rules(made_up(*block, TIMEOUT, add), []) == []
    (rule,) = broken_rules(made_up(TIMEOUT, *block, add), [])
    assert "SET LOCAL lock_timeout" in rule


def test_an_index_is_built_beside_the_traffic() -> None:
    drop, create = "DROP INDEX CONCURRENTLY IF EXISTS i", "CREATE INDEX CONCURRENTLY i ON orders (wave)"
    assert broken_rules(outside(create), []) == []
    (rule,) = broken_rules(outside(drop), [])
    assert BREAKS in rule


def test_alembics_own_operations_are_judged_as_plain_sql() -> None:
    add = "op.add_column('orders', sa.Column('note', sa.Text, nullable=False))"
    index = "op.create_index('i', 'orders', ['wave'])"
    rules = broken_rules(made_up(TIMEOUT, add, index, "op.drop_column('orders', 'wave')"), [])
    assert [BREAKS in rules[0], "CONCURRENTLY" in rules[1], BREAKS in rules[2]] == [True, True, True]
    assert len(rules) == 3


def test_a_script_that_asks_the_database_is_refused() -> None:
    (rule,) = broken_rules(made_up("op.get_bind().execute(sa.text('SELECT 1'))"), [])
    assert "not known" in rule


def test_statements_are_told_apart_around_strings_comments_and_bodies() -> None:
    script = "SELECT ';'';' /* ; */ ; SELECT $a$ ; $$ ; $a$, \"x;y\" -- ;\n"
    assert list(split(script)) == ["SELECT ''", "SELECT $$, X;Y"]
