"""A real browser, Debian's package `chromium`."""

import shutil
import subprocess

import pytest
from tests.browser.browser import BROWSER_S, DESK, FLAGS, LIGHT


@pytest.fixture
def chromium(tmp_path):
    """Run Chromium; returns its output and what it logged."""
    path = shutil.which("chromium")
    assert path, "Chromium is missing: apt-get install chromium"

    def run(url, *flags, size=DESK, scheme=LIGHT):
        command = [
            path,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={size[0]},{size[1]}",
            *flags,
            url,
        ]
        done = subprocess.run(command, capture_output=True, timeout=BROWSER_S, check=True)
        return done.stdout.decode(), done.stderr.decode()

    return run
