"""How much work a call may be: what `tests/integration/test_hot_path.py` holds the hub to.

Counts of one warm hub with everything switched on. They come out the same on a busy machine, so
there is next to no room in them. Whoever makes the path shorter lowers them; whoever must raise
one says in the commit why.
"""

import sys

# The interpreter's own counts are of Python 3.11; others have other instructions.
ROOM = 1.0 if sys.version_info[:2] == (3, 11) else 1.25

# On SQLite, on the thread of the event loop. A unary call, from its first byte to its last:
CALL_OPCODES_MAX = 7_750 * ROOM
CALL_C_CALLS_MAX = 237 * ROOM
# A chunk of a stream that arrives alone:
CHUNK_OPCODES_MAX = 250 * ROOM
CHUNK_C_CALLS_MAX = 7 * ROOM

# Through SQLAlchemy, which is to say outside the journal.
CALL_READS_MAX = 0
# On the journal's connection: two transactions, and what they read and write.
CALL_COMMITS_MAX = 2
CALL_STATEMENTS_MAX = 18

# System calls of the whole process, those that only wait left out. Those that are not SQLite's
# files' are a read and a write for each of a call's two sockets.
CALL_SOCKET_CALLS_MAX = 4
CALL_SYSTEM_CALLS_MAX = 58
CHUNK_SYSTEM_CALLS_MAX = 2

# Of a batch, however many calls of one account travel in it.
BATCH_READS_MAX = 2
POSTGRES_JOURNEYS_MAX = 2
POSTGRES_REQUESTS_MAX = 11
# Of a batch on SQLite: rows for each call that is opened or settled, and some for all of them.
OPEN_ROWS_MAX = 2
SETTLE_ROWS_MAX = 5
BATCH_ROWS_MAX = 3
