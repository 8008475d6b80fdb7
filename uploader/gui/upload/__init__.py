"""The upload side of the window: log in, choose a folder, look at the plan, send it."""
