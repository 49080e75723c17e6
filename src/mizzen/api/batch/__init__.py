"""Kinds of the batch group."""

from mizzen.api.batch.cronjob import CRON_JOB
from mizzen.api.batch.job import JOB
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    CRON_JOB,
    JOB,
)
