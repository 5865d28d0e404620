"""The tutorials' stack, working end: RQ's default worker, which forks for each job.

The jobs' module is imported before the first fork, as RQ's documentation advises: without that, each job would import
the SDK anew, which takes over a second.
"""

import os

from redis import Redis
from rq import Queue, Worker

from bench.peers import rq_jobs

if __name__ == "__main__":
    assert rq_jobs.answer is not None
    redis = Redis.from_url(os.environ["REDIS_URL"])
    Worker([Queue(connection=redis)], connection=redis).work(logging_level="WARNING")
