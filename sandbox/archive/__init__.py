"""An archive on this machine that answers like XNAT: for trying out, teaching and tests."""
