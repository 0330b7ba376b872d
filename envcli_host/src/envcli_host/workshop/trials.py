"""Run a project's own tests."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from envcli_host.workshop.building import SECRET_VARIABLES
from envcli_host.workshop.errors import WorkshopError
from envcli_host.workshop.project import PluginProject


def run_tests(project: PluginProject, arguments: Sequence[str]) -> int:
    """Run pytest in the project's folder with this interpreter and return its exit status.

    Raises:
        WorkshopError: pytest is not installed.
    """
    if find_spec("pytest") is None:
        raise WorkshopError("pytest is not installed", remedy="Run: pip install pytest")
    environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=project.directory, env=environment, check=False).returncode
