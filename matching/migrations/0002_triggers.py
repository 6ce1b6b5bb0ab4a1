"""The journal is append-only, filed commands wake the worker, and the engine's one row exists."""

from django.db import migrations

REFUSE_CHANGES = """
CREATE FUNCTION bourse_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON matching_journalentry
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();
"""

NOTIFY_WORKER = """
CREATE FUNCTION bourse_notify_inbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY bourse_inbox;
    RETURN NULL;
END $$;
CREATE TRIGGER inbox_notify AFTER INSERT ON matching_inboxcommand
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_notify_inbox();
"""

ENGINE_STATE = """
ALTER TABLE matching_enginestate SET (fillfactor = 10);
INSERT INTO matching_enginestate (id, sequence, received_at, trade_id, entry_id, halted, halt_note)
VALUES (1, 0, 'epoch', 0, 0, false, '');
"""


class Migration(migrations.Migration):
    dependencies = [("matching", "0001_initial")]
    operations = [
        migrations.RunSQL(
            REFUSE_CHANGES,
            "DROP TRIGGER journal_append_only ON matching_journalentry; DROP FUNCTION bourse_refuse_change;",
        ),
        migrations.RunSQL(
            NOTIFY_WORKER, "DROP TRIGGER inbox_notify ON matching_inboxcommand; DROP FUNCTION bourse_notify_inbox;"
        ),
        migrations.RunSQL(ENGINE_STATE, "DELETE FROM matching_enginestate;"),
    ]
