"""All models in one place, for tools that need the whole schema."""

from envcli_web.accounts.models import Account, AccountSession
from envcli_web.admin.models import AdminCode, AuditEntry
from envcli_web.analytics.models import DownloadDay, DownloadMethod
from envcli_web.catalog.models import FeedCursor, Project, ProjectCategory, ReleaseFile, SpellingDelete
from envcli_web.categories.models import Category
from envcli_web.identity.models import AuthorizationCode
from envcli_web.jobs.models import Job
from envcli_web.portal.models import ApiToken, Membership, Publisher
from envcli_web.ratelimit import RateCounter
from envcli_web.reviews.models import Receipt, Review, ReviewRevision

ALL = (
    Account,
    AccountSession,
    AdminCode,
    ApiToken,
    AuditEntry,
    AuthorizationCode,
    Category,
    DownloadDay,
    DownloadMethod,
    FeedCursor,
    Job,
    Membership,
    Project,
    ProjectCategory,
    Publisher,
    RateCounter,
    Receipt,
    ReleaseFile,
    Review,
    ReviewRevision,
    SpellingDelete,
)
