"""Drop what belongs to other types than the chosen one."""

from pathlib import Path

if "{{ cookiecutter.plugin_type }}" != "theme":
    Path("src/{{ cookiecutter.package }}/theme.toml").unlink()
