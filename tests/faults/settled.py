"""What must hold of the books once no call is running, read without starting a command."""

from sqlalchemy import func, select
from tests.hub import HubProcess

from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, reading
from aigne_hub.storage.verify import verify


def assert_settled(hub: HubProcess) -> None:
    """Assert that nothing is held or processing, the ledger is in order and the log is calm."""
    database = create_engine(hub.database_url)
    try:
        with reading(database) as connection:
            assert [check for check in verify(connection) if not check.ok] == []
            assert connection.execute(select(func.sum(schema.account.c.held))).scalar_one() == 0
            processing = schema.model_call.c.status == "processing"
            assert connection.execute(select(schema.model_call.c.id).where(processing)).all() == []
    finally:
        database.dispose()
    assert "Traceback" not in hub.log()
