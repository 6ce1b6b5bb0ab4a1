"""Migrations run while the old code still serves (docs/deploy.md): so they only add, or say why they may do more."""

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

BEFORE_THE_RULE = {
    "fees": "0004_promotion_approval",
    "marketdata": "0003_candles",
    "matching": "0005_journal_entries",
    "notifications": "0003_done_deliveries",
    "orders": "0002_row_types",
    "risk": "0006_entries",
    "trading": "0005_audit_append_only",
}
"""The last of each app from the time when there was one process, which is stopped for a migration."""

SAFE_AS_EXPLAINED: dict[tuple[str, str], str] = {}
"""(app, migration) -> why the code of the release before can live with it: who removes a column names the release since
which nothing reads or writes it; who runs SQL says what it locks."""

ALWAYS_SAFE = (
    migrations.CreateModel,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
)


def objection(operation: Operation, *, made_here: set[str]) -> str | None:
    """What the code of the release before would stumble over; `made_here`: models that this very migration makes."""
    if isinstance(operation, ALWAYS_SAFE):
        return None
    model = getattr(operation, "model_name", "").lower()
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if model in made_here or field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED:
            return None
        return "the old code inserts rows without this column: it needs null=True or a db_default"
    if isinstance(operation, migrations.AddIndex):
        return None if model in made_here else "nobody can write while the index is made: AddIndexConcurrently"
    if isinstance(operation, migrations.AddConstraint) and model in made_here:
        return None
    return "the old code does not know of it"


def objections(migration: Migration) -> list[str]:
    made_here = {each.name.lower() for each in migration.operations if isinstance(each, migrations.CreateModel)}
    found = ((each, objection(each, made_here=made_here)) for each in migration.operations)
    return [f"{each.describe()}: {why}" for each, why in found if why is not None]


def migrations_under_the_rule() -> dict[tuple[str, str], Migration]:
    ours = {config.label for config in apps.get_app_configs() if config.label in BEFORE_THE_RULE}
    assert ours == set(BEFORE_THE_RULE)
    found = MigrationLoader(None).disk_migrations
    return {key: migration for key, migration in found.items() if key[0] in ours and key[1] > BEFORE_THE_RULE[key[0]]}


def test_what_is_migrated_since_there_are_rolling_deploys_is_safe_with_the_old_code_running() -> None:
    judged = migrations_under_the_rule()
    assert ("matching", "0006_lane_position") in judged
    found = {key: objections(migration) for key, migration in judged.items()}
    assert {key: said for key, said in found.items() if said and key not in SAFE_AS_EXPLAINED} == {}
    assert {key for key in SAFE_AS_EXPLAINED if not found.get(key)} == set(), "these need no explanation"


@pytest.mark.parametrize(
    ("operation", "safe"),
    [
        (migrations.AddField("order", "note", models.TextField(null=True)), True),
        (migrations.AddField("order", "note", models.TextField(default="", db_default="")), True),
        (migrations.AddField("order", "note", models.TextField(default="")), False),
        (migrations.AddField("made", "note", models.TextField(default="")), True),
        (migrations.RemoveField("order", "price"), False),
        (migrations.RenameField("order", "price", "limit"), False),
        (migrations.AlterField("order", "price", models.TextField()), False),
        (migrations.DeleteModel("order"), False),
        (migrations.RenameModel("order", "instruction"), False),
        (migrations.AlterModelTable("order", "orders"), False),
        (migrations.AlterModelOptions("order", {}), True),
        (migrations.AddIndex("order", models.Index(fields=["price"], name="price")), False),
        (migrations.AddIndex("made", models.Index(fields=["price"], name="price")), True),
        (AddIndexConcurrently("order", models.Index(fields=["price"], name="price")), True),
        (migrations.AddConstraint("order", models.UniqueConstraint(fields=["price"], name="one")), False),
        (migrations.RunSQL("SELECT 1"), False),
        (migrations.RunPython(migrations.RunPython.noop), False),
    ],
    ids=lambda value: value.describe() if isinstance(value, Operation) else None,
)
def test_the_rule_itself(operation: Operation, safe: bool) -> None:
    assert (objection(operation, made_here={"made"}) is None) == safe
