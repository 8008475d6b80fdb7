"""How the tests' clients repeat what fails: as often as in earnest, and soon."""

from pipelines.xnat.access import Patience

PATIENCE = Patience(attempts=4, first_wait_s=0.02, longest_wait_s=0.1, read_s=60)
