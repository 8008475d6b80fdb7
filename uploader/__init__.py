"""Plan, check, send, verify and report: a whole study into XNAT."""
