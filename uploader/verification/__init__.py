"""Compare a plan with the server, before and after it is sent."""
