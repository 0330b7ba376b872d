"""Pages about vetting. They are public: every verdict can be read with its evidence."""

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from envcli_web.catalog.records import takedown_of
from envcli_web.vetting import services

blueprint = Blueprint("vetting", __name__)


@blueprint.get("/vetting")
def queue() -> ResponseReturnValue:
    """List the releases that are being checked."""
    return render_template("vetting/queue.html", releases=services.list_queue())


@blueprint.get("/vetting/<project>/<version>")
def release(project: str, version: str) -> ResponseReturnValue:
    """Show the evidence about one release."""
    evidence = services.read_evidence(project, version)
    return render_template(
        "vetting/release.html",
        evidence=evidence,
        takedown=takedown_of(evidence.release),
        index_url=current_app.extensions["envcli_config"].index_url,
    )
