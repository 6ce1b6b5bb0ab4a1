"""The audit log is append-only: the database itself refuses to change or empty it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trading", "0004_desk"), ("matching", "0002_triggers")]
    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trading_auditentry
                FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();
            """,
            "DROP TRIGGER audit_append_only ON trading_auditentry;",
        ),
    ]
