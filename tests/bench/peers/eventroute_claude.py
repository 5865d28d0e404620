"""EventRoute, working end, whole: the product's worker program, whose pipeline notes when it is given a delivery."""

import sys
from unittest.mock import patch

from bench.peers.stamps import STARTED, Stamps
from eventroute_worker import __main__ as program
from eventroute_worker.attempt import Attempt, End
from eventroute_worker.run import Runner

stamps = Stamps()


class StampingRunner(Runner):
    async def __call__(self, attempt: Attempt) -> End:
        stamps.add(STARTED, attempt.delivery)
        return await super().__call__(attempt)


if __name__ == "__main__":
    with patch.object(program, "Runner", StampingRunner):
        sys.exit(program.main())
