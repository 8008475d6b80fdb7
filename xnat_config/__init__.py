"""What this suite's XNAT looks like, as data: the ground floor of uploader and pipelines."""
