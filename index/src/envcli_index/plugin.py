"""devpi-server hook implementations; each delegates.

Without ``--envcli-data`` the plugin stays out of the way, so that a plain devpi-server in the same
environment keeps working as it always did.
"""

from pathlib import Path
from typing import Any

from pluggy import HookimplMarker

hookimpl = HookimplMarker("devpiserver")


@hookimpl
def devpiserver_add_parser_options(parser: Any) -> None:
    """Add the option that turns a devpi-server into the write path of an index."""
    group = parser.addgroup("envcli index options")
    group.addoption(
        "--envcli-data",
        type=str,
        metavar="DIR",
        default=None,
        help="data directory of the envcli index to serve",
    )


@hookimpl
def devpiserver_get_stage_customizer_classes() -> list[tuple[str, type]]:
    """Add the index type whose indexes no route of devpi opens."""
    from envcli_index.stages import INDEX_TYPE, ClosedStage

    return [(INDEX_TYPE, ClosedStage)]


@hookimpl
def devpiserver_get_features() -> set[str]:
    """Say in ``/+api`` what this server adds."""
    return {"envcli-index"}


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:
    """Put the write path in front of devpi's own views, and drop what an interrupted upload left."""
    if not getattr(config.args, "envcli_data", None):
        return
    from envcli_index.closing import install

    install(Path(config.args.envcli_data), pyramid_config)
