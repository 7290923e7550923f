"""The schema as first released.

Until then it is whatever `storage.schema` says, under a revision of another name whenever
that changed between sessions, so that an older data directory is refused instead of misread.
At the release its statements are written out here, and every later change is a revision.
"""

import sqlalchemy as sa
from alembic import op

from aigne_hub.storage.schema import metadata

revision: str = "0001_billing"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
    op.execute(sa.text("INSERT INTO hub_state (id, version) VALUES (1, 1)"))
