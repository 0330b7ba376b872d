"""Receipts, reviews and the ratings made of them."""

import re
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from envcli_web.accounts.models import Account
from envcli_web.catalog import services as catalog
from envcli_web.catalog.models import Project
from envcli_web.database import now
from envcli_web.errors import ForbiddenError, WebError
from envcli_web.portal import services as portal
from envcli_web.reviews.models import Receipt, Review, ReviewRevision
from envcli_web.reviews.rating import bayesian_mean

STARS = range(1, 6)
MAX_BODY = 5000
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RatingSummary:
    """How a plugin was rated, and by how many."""

    count: int
    mean: float
    histogram: dict[int, int]

    def share(self, stars: int) -> int:
        """Return the share of ratings with this many stars, in percent."""
        return round(100 * self.histogram[stars] / self.count) if self.count else 0


@dataclass(frozen=True)
class Standing:
    """Whether somebody may review a plugin, and what they wrote."""

    may_review: bool
    why_not: str
    review: Review | None


def add_receipt(session: Session, account: Account, sha256: str) -> tuple[Receipt, bool]:
    """Record that ``account`` installed the file with this digest.

    Returns:
        The receipt and whether it is new; posting it twice changes nothing.

    Raises:
        WebError: the digest has the wrong form.
        NotFoundError: no released file has it.
    """
    if not SHA256.fullmatch(sha256):
        raise WebError("A receipt names a file by its SHA-256, 64 hexadecimal digits in lower case")
    file = catalog.find_file(session, sha256)
    query = select(Receipt).where(Receipt.account_uuid == account.uuid, Receipt.sha256 == sha256)
    found = session.scalar(query)
    if found is not None:
        return found, False
    receipt = Receipt(
        account_uuid=account.uuid,
        project_id=file.project_id,
        sha256=sha256,
        version=file.version,
        created=now(),
    )
    try:
        with session.begin_nested():
            session.add(receipt)
    except IntegrityError:  # another process was quicker
        return session.scalars(query).one(), False
    return receipt, True


def newest_receipt(session: Session, account: Account, project: Project) -> Receipt | None:
    """Return the account's newest receipt for a plugin."""
    query = select(Receipt).where(Receipt.account_uuid == account.uuid, Receipt.project_id == project.id)
    return session.scalar(query.order_by(Receipt.created.desc(), Receipt.id.desc()).limit(1))


def find_review(session: Session, account: Account, project: Project) -> Review | None:
    """Return what the account wrote about a plugin."""
    query = select(Review).where(Review.account_uuid == account.uuid, Review.project_id == project.id)
    return session.scalar(query)


def standing_of(session: Session, project: Project, account: Account | None) -> Standing:
    """Return whether ``account`` may review ``project``, and if not, why."""
    if account is None:
        return Standing(False, "Sign in to review plugins that you have installed.", None)
    review = find_review(session, account, project)
    if portal.is_member(session, account.uuid, project.publisher_uuid):
        return Standing(False, "Members of the publisher cannot review their own plugin.", review)
    if newest_receipt(session, account, project) is None:
        why = "Only people who have installed the plugin can review it. envcli tells us after an install, if signed in."
        return Standing(False, why, review)
    return Standing(True, "", review)


def _recount(session: Session, project: Project) -> None:
    counted = select(func.count(), func.coalesce(func.sum(Review.stars), 0)).where(
        Review.project_id == project.id
    )
    count, total = session.execute(counted).one()
    project.rating_count, project.rating_sum = int(count), int(total)
    project.rating_order = bayesian_mean(int(total), int(count))


def save_review(session: Session, project: Project, account: Account, stars: int, body: str) -> Review:
    """Write or rewrite the account's review; the text before is kept.

    Raises:
        ForbiddenError: the account may not review this plugin.
        WebError: stars or text are out of range.
    """
    standing = standing_of(session, project, account)
    receipt = newest_receipt(session, account, project)
    if not standing.may_review or receipt is None:
        raise ForbiddenError(standing.why_not)
    body = body.strip().replace("\r\n", "\n")
    if stars not in STARS or len(body) > MAX_BODY:
        raise WebError(f"A review has 1 to 5 stars and at most {MAX_BODY} characters")
    review = standing.review
    if review is None:
        review = Review(account_uuid=account.uuid, project_id=project.id, stars=stars, body=body)
        session.add(review)
    elif (review.stars, review.body) != (stars, body):
        kept = ReviewRevision(
            review_id=review.id, stars=review.stars, body=review.body, version=review.version
        )
        session.add(kept)
        review.stars, review.body, review.updated = stars, body, now()
    review.version = receipt.version
    session.flush()
    _recount(session, project)
    return review


def list_reviews(session: Session, project: Project, limit: int = 50) -> list[Review]:
    """Return the newest reviews of a plugin."""
    query = select(Review).where(Review.project_id == project.id)
    return list(session.scalars(query.order_by(Review.created.desc(), Review.id.desc()).limit(limit)))


def list_revisions(session: Session, review_id: int) -> list[ReviewRevision]:
    """Return what a review said before, oldest first."""
    query = select(ReviewRevision).where(ReviewRevision.review_id == review_id)
    return list(session.scalars(query.order_by(ReviewRevision.id)))


def summary_of(session: Session, project: Project) -> RatingSummary:
    """Return the number of ratings, their mean and how often each number of stars was given."""
    counted = select(Review.stars, func.count()).where(Review.project_id == project.id).group_by(Review.stars)
    given = {int(stars): int(number) for stars, number in session.execute(counted)}
    histogram = {stars: given.get(stars, 0) for stars in reversed(STARS)}
    count = sum(histogram.values())
    total = sum(stars * number for stars, number in histogram.items())
    return RatingSummary(count, total / count if count else 0.0, histogram)
