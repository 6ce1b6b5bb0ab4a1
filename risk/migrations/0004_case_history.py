"""The database refuses that a case's history is changed or an alert taken back."""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER case_note_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON risk_casenote
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();
CREATE TRIGGER alert_not_deleted BEFORE DELETE OR TRUNCATE ON risk_alert
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0003_surveillance")]
    operations = [
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER case_note_append_only ON risk_casenote; DROP TRIGGER alert_not_deleted ON risk_alert;",
        )
    ]
