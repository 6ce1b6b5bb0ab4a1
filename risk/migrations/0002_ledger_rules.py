"""The database refuses entries that change or do not sum to zero, and knows the house's two accounts.

Also the row types in which the worker sends entries and balances.
"""

from django.db import migrations

LEDGER_RULES = """
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON risk_entry
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();
CREATE FUNCTION bourse_entries_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM inserted GROUP BY sequence, asset_id HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'entries of one command do not sum to zero per asset'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entry_sum_to_zero AFTER INSERT ON risk_entry REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION bourse_entries_sum_to_zero();
"""

UNDO_LEDGER_RULES = """
DROP TRIGGER entry_sum_to_zero ON risk_entry;
DROP FUNCTION bourse_entries_sum_to_zero;
DROP TRIGGER entry_append_only ON risk_entry;
"""

ROW_TYPES = """
CREATE TYPE bourse_entry_row AS (
    id bigint, sequence bigint, account_id int, asset_id int, amount numeric, balance numeric, entry_type text,
    reference bigint);
CREATE TYPE bourse_balance_row AS (account_id int, asset_id int, available numeric, held numeric);
ALTER TABLE risk_balance SET (fillfactor = 50);
"""

UNDO_ROW_TYPES = """
ALTER TABLE risk_balance RESET (fillfactor);
DROP TYPE bourse_balance_row;
DROP TYPE bourse_entry_row;
"""

HOUSE_ACCOUNTS = """
INSERT INTO risk_account (id, user_id, name, frozen, freeze_note, opened_at)
VALUES (1, NULL, 'external', false, '', 'epoch'), (2, NULL, 'fees', false, '', 'epoch');
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial"), ("matching", "0002_triggers")]
    operations = [
        migrations.RunSQL(LEDGER_RULES, UNDO_LEDGER_RULES),
        migrations.RunSQL(ROW_TYPES, UNDO_ROW_TYPES),
        migrations.RunSQL(HOUSE_ACCOUNTS, "DELETE FROM risk_account WHERE id IN (1, 2);"),
    ]
