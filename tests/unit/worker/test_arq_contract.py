"""What EventRoute takes for granted of arq 0.28: its key names and the form of its jobs."""

import msgspec
from arq import constants
from arq.jobs import deserialize_job, serialize_job

from eventroute import keys
from eventroute.delivery import JOB_FUNCTION, Job, encode_job
from eventroute.ids import DeliveryId

NAME = DeliveryId("d-1")


def test_the_keys_are_arqs_own() -> None:
    assert keys.job(NAME) == constants.job_key_prefix + NAME
    assert keys.lease(NAME) == constants.in_progress_key_prefix + NAME
    assert keys.tries(NAME) == constants.retry_key_prefix + NAME


def test_arq_reads_the_jobs_that_the_receiver_writes() -> None:
    job = deserialize_job(encode_job(NAME, traceparent="00-a", now_ms=1000), deserializer=msgspec.json.decode)
    assert (job.function, list(job.args), job.kwargs) == (JOB_FUNCTION, [NAME, "00-a"], {})
    assert job.enqueue_time.timestamp() == 1


def test_the_worker_reads_the_jobs_that_arq_writes() -> None:
    written = serialize_job(JOB_FUNCTION, (NAME, ""), {}, None, 1000, serializer=msgspec.json.encode)
    assert msgspec.json.decode(written, type=Job).a == (NAME, "")
