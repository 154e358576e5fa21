from django.db import migrations

# The queue's client switches notification on at each start of a worker, by dropping a trigger and making it anew. Two
# workers that start together then meet in a deadlock, or one finds the other's trigger and ends. So: one at a time, and
# nothing at all where it is on already.
GUARD = """
ALTER FUNCTION pgmq.enable_notify_insert(text, integer) RENAME TO enable_notify_insert_anew;
CREATE FUNCTION pgmq.enable_notify_insert(queue_name text, throttle_interval_ms integer DEFAULT 250)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pgmq.notify:' || queue_name, 0));
    IF EXISTS (
        SELECT 1 FROM pg_trigger
        WHERE tgrelid = to_regclass(format('pgmq.%I', pgmq.format_table_name(queue_name, 'q')))
          AND tgname = 'trigger_notify_queue_insert_listeners'
    ) AND EXISTS (
        SELECT 1 FROM pgmq.notify_insert_throttle t
        WHERE t.queue_name = enable_notify_insert.queue_name
          AND t.throttle_interval_ms = enable_notify_insert.throttle_interval_ms
    ) THEN
        RETURN;
    END IF;
    PERFORM pgmq.enable_notify_insert_anew(queue_name, throttle_interval_ms);
END $$;
"""
UNGUARD = """
DROP FUNCTION pgmq.enable_notify_insert(text, integer);
ALTER FUNCTION pgmq.enable_notify_insert_anew(text, integer) RENAME TO enable_notify_insert;
"""


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_message_queue")]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
