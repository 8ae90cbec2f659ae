"""Redis's append-only file after a restart: written anew once in each life of the server.

Where a crash tore the file within a transaction, Redis 6.2 cuts it behind the last whole command and not before the
transaction: what is left of that one waits in the file for the next EXEC, and a second crash would run its writes
without the fence that belongs to them. A file that was written anew holds nothing of it.
"""

import logging

import redis
from redis.exceptions import ResponseError

from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors

_LOG = logging.getLogger(__name__)


class AppendOnlyFile:
    """Sees that the file is written anew after each start of Redis, whichever process is the first to see it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._run_id = ""

    def renew(self) -> None:
        """Has Redis write the file anew where nobody has since its start; returns at once, Redis does it beside.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        with redis_errors():
            run_id = str(self._client.info("server").get("run_id"))
            if run_id == self._run_id:
                return
            if self._client.get(names.RENEWED) != run_id.encode():
                self._rewrite()
                self._client.set(names.RENEWED, run_id)
            self._run_id = run_id

    def _rewrite(self) -> None:
        if not self._client.info("persistence").get("aof_enabled"):
            return
        try:
            self._client.bgrewriteaof()
        except ResponseError as error:
            if "in progress" in str(error):
                return
            _LOG.warning(
                "Redis does not write its append-only file anew (%s): after two crashes on end some states may be "
                "wrong; run `redis-cli BGREWRITEAOF` after each restart, or permit the command",
                error,
            )
