"""Tell the web that a verified install happened, so that its account may review the plugin."""

from envcli_host.config import HostPaths
from envcli_host.marketplace.model import Offer


def post_receipt(offer: Offer, paths: HostPaths) -> str:
    """Post an install receipt for ``offer`` where the account's token belongs to the index' own web.

    Never raises for network or server trouble: a receipt must not hold up an install.

    Returns:
        One line for the user: what happened and, when nothing was posted, why.
    """
    raise NotImplementedError
