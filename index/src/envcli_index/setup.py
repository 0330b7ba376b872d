"""Makes a new index: settings, keys, credentials, devpi's storage, database, trust repository, empty tree."""

import secrets
import shutil
from pathlib import Path

from envcli_policy.layout import default_layout
from sqlalchemy import Engine, select

from envcli_index.addresses import INDEX_TARGET, index_document
from envcli_index.config import IndexConfig
from envcli_index.credentials import create_credentials
from envcli_index.database import connect, dependency, read, upgrade
from envcli_index.dependencies import add_wheels, read_wheel, stored_path
from envcli_index.errors import ConfigError
from envcli_index.public.render import Renderer
from envcli_index.trust.files import SECRET_MODE, write_whole
from envcli_index.trust.keys import create_keys
from envcli_index.trust.tuf import create_repository

LAYOUT_TARGET = "trust/layout.json"
DEVPI_SECRET = ".secret"  # noqa: S105 a file name


def initialise(config: IndexConfig, first_party: Path | None) -> str:
    """Make everything that is missing; what exists stays, so an interrupted call is completed by another.

    Args:
        config: the settings to write.
        first_party: directory of wheels that plugins need from this project, or ``None``.

    Returns:
        SHA-256 (hexadecimal) of the first TUF root, by which clients pin the index.

    Raises:
        ConfigError: the directory belongs to something else, or devpi refuses to initialise.
    """
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.data.chmod(0o700)  # the database and the statements in it are nobody else's business
    config.save()
    config.run_dir.mkdir(mode=0o700, exist_ok=True)
    create_keys(config.keys)
    create_credentials(config.credentials)
    _initialise_devpi(config.devpi_dir)
    engine = connect(config)
    upgrade(engine)
    root_sha256 = create_repository(
        config, {LAYOUT_TARGET: default_layout(), INDEX_TARGET: index_document(config)}
    )
    if first_party is not None and config.first_party is not None:
        _copy_wheels(first_party, config.first_party)
        add_wheels(engine, config, sorted(config.first_party.glob("*.whl")), first_party=True)
    _render(engine, config)
    engine.dispose()
    return root_sha256


def _copy_wheels(source: Path, target: Path) -> None:
    wheels = sorted(source.glob("*.whl"))
    if not wheels:
        raise ConfigError(f"{source} holds no wheel", remedy="Build envcli-sdk into it first")
    target.mkdir(mode=0o700, exist_ok=True)
    for wheel in wheels:
        shutil.copyfile(wheel, target / wheel.name)


def _render(engine: Engine, config: IndexConfig) -> None:
    """Render a tree that readers can use before any process runs; the gate stores the wheels in devpi
    later.
    """
    renderer = Renderer(config)
    with read(engine) as connection:
        for row in connection.execute(select(dependency)):
            wheel = read_wheel(stored_path(config, row.sha256, row.filename))
            renderer.put_wheel(wheel.filename, wheel.content, wheel.metadata)
        renderer.rebuild(connection)


def _initialise_devpi(folder: Path) -> None:
    from devpi_server.init import init

    if not (folder / ".nodeinfo").exists():
        # nobody logs in as root: devpi's login is closed, and this password is kept nowhere; hexadecimal, since
        # an option's value must not begin with a dash
        password = secrets.token_hex(32)
        code = init(  # type: ignore[no-untyped-call]
            argv=["devpi-init", "--serverdir", str(folder), "--no-root-pypi", "--root-passwd", password]
        )
        if code:
            raise ConfigError(
                f"devpi could not be initialised in {folder}", remedy="Empty the folder and try again"
            )
    secret = folder / DEVPI_SECRET
    if not secret.exists():
        write_whole(secret, secrets.token_urlsafe(33).encode(), SECRET_MODE)
