import os
import shutil

import pytest


@pytest.fixture
def tool():
    """Path of a system program; without it skip here, fail in continuous integration."""

    def find(name, package):
        path = shutil.which(name)
        if path is None:
            message = f"{name} is not installed; install the Debian package {package}."
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
