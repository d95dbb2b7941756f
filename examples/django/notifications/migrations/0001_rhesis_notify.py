"""Creates the extension, with Django's own users as its recipients. CreateExtension needs a superuser."""

import django.utils.timezone
from django.contrib.postgres.operations import CreateExtension
from django.db import migrations, models

RECIPIENTS = """
    CREATE VIEW public.mail_recipients AS
        SELECT id AS user_id, email, NULLIF(trim(concat(first_name, ' ', last_name)), '') AS name, is_active AS active
        FROM public.auth_user;
    DO $$
    BEGIN
        EXECUTE format('ALTER DATABASE %I SET rhesis_notify.recipients = %L', current_database(), 'public.mail_recipients');
    END $$;
"""
NO_RECIPIENTS = """
    DO $$
    BEGIN
        EXECUTE format('ALTER DATABASE %I RESET rhesis_notify.recipients', current_database());
    END $$;
    DROP VIEW public.mail_recipients;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        CreateExtension("rhesis_notify"),
        migrations.RunSQL("SELECT rhesis_notify.grant_to('app')", migrations.RunSQL.noop),
        migrations.RunSQL(RECIPIENTS, NO_RECIPIENTS),
        migrations.CreateModel(
            name="TaskNotification",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("task_id", models.TextField(unique=True)),
                ("task_name", models.TextField()),
                ("status", models.TextField(choices=[("success", "success"), ("failed", "failed")])),
                ("user_id", models.TextField(null=True)),
                ("organization_id", models.TextField(null=True)),
                ("template", models.TextField(null=True)),
                ("subject_template", models.TextField(null=True)),
                ("result", models.JSONField(null=True)),
                ("error_message", models.TextField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("completed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={"db_table": 'rhesis_notify"."task_notifications', "managed": False},
        ),
        migrations.CreateModel(
            name="DeliveryStatus",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("task", models.TextField()),
                ("recipient", models.TextField()),
                ("state", models.TextField()),
                ("reason", models.TextField(null=True)),
                ("attempts", models.IntegerField()),
                ("smtp_reply", models.TextField(null=True)),
            ],
            options={"db_table": 'rhesis_notify"."delivery_status', "managed": False},
        ),
    ]
