"""Mail the owners of tasks.

CREATE EXTENSION and the other statements need a superuser. If migrations run as another role, an administrator runs
these statements once.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("CREATE EXTENSION IF NOT EXISTS rhesis_notify")
    op.execute("SELECT rhesis_notify.grant_to('app')")
    op.execute("SELECT rhesis_notify.email_notification('reports.export', display_name => 'Export')")


def downgrade():
    # This also removes waiting mail, and your own templates and registrations.
    op.execute("DROP EXTENSION rhesis_notify")
