"""Mail the owners of tasks.

CREATE EXTENSION and what follows need a superuser. Where migrations run as somebody else, an administrator does these
statements once.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("CREATE EXTENSION IF NOT EXISTS rhesis_notify")
    op.execute("SELECT rhesis_notify.grant_to('app')")
    op.execute("SELECT rhesis_notify.email_notification('reports.export', display_name => 'Export')")


def downgrade():
    # Waiting mails, the templates and registrations of your own go with it.
    op.execute("DROP EXTENSION rhesis_notify")
