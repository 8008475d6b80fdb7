"""When the tests' requests are repeated: as in earnest, without its waits."""

from xnat_config.server.retry import RetryPolicy

RETRY = RetryPolicy(attempts=4, first_wait_s=0.02, longest_wait_s=0.1)
