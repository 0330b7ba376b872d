"""Version 1 of the JSON interface."""

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from envcli_web.catalog import services as catalog
from envcli_web.catalog.models import Project
from envcli_web.catalog.views import listing_of
from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.identity.services import verify_api_token
from envcli_web.identity.tokens import TokenError
from envcli_web.portal.models import ApiToken
from envcli_web.ratelimit import limiter
from envcli_web.reviews import services as reviews

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


def _brief(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "summary": project.summary,
        "type": project.type,
        "status": project.status,
        "latest": project.latest,
        "publisher": {"uuid": project.publisher_uuid, "name": project.publisher_name},
        "rating": {"mean": round(project.rating_mean, 2), "count": project.rating_count},
        "downloads": {"total": project.downloads, "last_30_days": project.downloads_30},
        "url": f"{current_app.extensions['envcli_config'].url}/plugins/{project.name}",
    }


def _shared(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "public, max-age=10"
    return answer


@blueprint.get("/plugins")
def plugins() -> ResponseReturnValue:
    """Search and list plugins: ``q``, ``type``, ``category``, ``sort``, ``page``."""
    listing = listing_of(request.args)
    items = [_brief(project) for project in listing.projects]
    return _shared(jsonify(total=listing.total, page=listing.page, pages=listing.pages, plugins=items))


@blueprint.get("/plugins/<name>")
def plugin(name: str) -> ResponseReturnValue:
    """Return one plugin: its newest version's permissions and verdict, and all versions."""
    page = catalog.plugin_page(db.session, name)
    summary = reviews.summary_of(db.session, page.project)
    return _shared(
        jsonify(
            **_brief(page.project),
            identity=page.project.publisher_identity,
            permissions=[
                {
                    "permission": line.permission,
                    "scope": line.scope,
                    "reason": line.reason,
                    "risk": line.risk.value,
                }
                for line in page.permissions
            ],
            risk=page.risk.value,
            verdict=dict(page.verdict),
            takedown=page.takedown.as_json() if page.takedown else None,
            versions=[
                {
                    "version": line.version,
                    "state": line.state,
                    "takedown": line.takedown.as_json() if line.takedown else None,
                }
                for line in page.history
            ],
            histogram={str(stars): number for stars, number in summary.histogram.items()},
        )
    )


def _bearer(scope: str) -> ApiToken:
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise TokenError("This needs an API token", remedy="Send it as: Authorization: Bearer envcli-…")
    return verify_api_token(db.session, given.token, scope)


@blueprint.post("/receipts")
@limiter.limit("120/minute")
def receipts() -> ResponseReturnValue:
    """Record an install: JSON body ``{"sha256": "<digest of the released file>"}``."""
    token = _bearer("receipt")
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("sha256"), str):
        raise WebError('The body must be a JSON object like {"sha256": "…"}')
    with write() as session:
        receipt, is_new = reviews.add_receipt(session, token.account, body["sha256"])
    answer = jsonify(sha256=receipt.sha256, version=receipt.version, recorded=receipt.created.isoformat())
    answer.headers["Cache-Control"] = "no-store"
    return answer, 201 if is_new else 200
