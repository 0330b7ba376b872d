"""Tell the web that a verified install happened, so that its account may review the plugin."""

from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.marketplace.account import issuer_of, read_token
from envcli_host.marketplace.indexes import parse_url
from envcli_host.marketplace.model import Offer
from envcli_host.marketplace.transport import Transport

_MAX_ANSWER = 64 * 1024


def post_receipt(offer: Offer, paths: HostPaths) -> str:
    """Post an install receipt for ``offer`` where the account's token belongs to the index' own web.

    Never raises for network or server trouble: a receipt must not hold up an install. The token goes to no
    other site than the one that issued it.

    Returns:
        One line for the user: what happened and, when nothing was posted, why.
    """
    try:
        token = read_token(paths)
        if token is None:
            return "no install receipt sent: no API token is configured"
        web = offer.publisher.issuer
        if issuer_of(token) != web:
            return f"no install receipt sent: the API token was not issued by {web}"
        return _post(offer, web, token)
    except EnvcliError as error:
        return f"no install receipt sent: {error}"


def _post(offer: Offer, web: str, token: str) -> str:
    receipt: dict[str, object] = {
        "project": offer.project,
        "version": offer.version,
        "filename": offer.wheel.filename,
        "sha256": offer.wheel.sha256,
    }
    with Transport(parse_url(web), web) as transport:
        status, _ = transport.post("api/v1/receipts", receipt, token, _MAX_ANSWER)
    if status in {200, 201, 202, 204, 409}:
        return f"install receipt sent to {web}"
    return f"no install receipt sent: {web} answers HTTP {status}"
