"""Asking the user: what a plugin is, who made it, what it wants and how risky that is."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from envcli_policy.permissions import RiskTier, highest_risk, risk_of
from envcli_sdk.permissions import PermissionRequest

from envcli_host.cli.output import escape_controls
from envcli_host.plugins.errors import ConsentError
from envcli_host.plugins.grants import Comparison
from envcli_host.plugins.instances import InstanceConfig

if TYPE_CHECKING:
    from envcli_host.marketplace.model import Offer


@dataclass(frozen=True, slots=True)
class Answers:
    """How questions are answered.

    Attributes:
        yes: agree without asking, within ``allow_risk`` and never to a widening.
        allow_risk: highest risk that ``yes`` agrees to.
    """

    yes: bool = False
    allow_risk: RiskTier = RiskTier.LOW


@dataclass(frozen=True, slots=True)
class Question:
    """What the user is asked to agree to.

    Attributes:
        subject: what is to be done, for example ``install envcli-plugin-x 1.0``.
        facts: lines about origin and verdict.
        requests: everything the plugin would hold, with resolved scopes where a configuration exists.
        added: those that were not granted before.
        removed: those that were granted before and are no longer asked for.
        is_widening: whether the plugin was granted less before.
        remedy: command that asks the same question at a terminal.
        notes: further lines.
        changes: what is no longer as the user agreed to it before; ``--yes`` never agrees to that.
    """

    subject: str
    facts: Sequence[str]
    requests: Sequence[PermissionRequest]
    added: Sequence[PermissionRequest]
    removed: Sequence[PermissionRequest] = ()
    is_widening: bool = False
    remedy: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    changes: Sequence[str] = field(default_factory=tuple)


def ask(question: Question, answers: Answers) -> None:
    """Print the question in full, and return only if the answer is yes.

    Raises:
        ConsentError: it is no, nobody is there to ask, or ``--yes`` does not reach this far.
    """
    for line in render(question):
        print(escape_controls(line), file=sys.stderr)
    if answers.yes:
        _verify_script(question, answers)
        return
    if not sys.stdin.isatty():
        risk = highest_risk(question.added)
        is_for_people = question.is_widening or bool(question.changes)
        scripted = "" if is_for_people else f", or in a script: {question.remedy} --yes --allow-risk {risk}"
        raise ConsentError(
            f"cannot {question.subject}: nobody is there to answer",
            remedy=f"Answer at a terminal: {question.remedy}{scripted}",
        )
    print(f"{question.subject}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ConsentError(f"did not {question.subject}: you answered no")


def _verify_script(question: Question, answers: Answers) -> None:
    if question.is_widening and question.added:
        raise ConsentError(
            f"cannot {question.subject}: it asks for more than before, which --yes never grants",
            remedy=f"Answer at a terminal: {question.remedy}",
        )
    if question.changes:
        raise ConsentError(
            f"cannot {question.subject}: {question.changes[0]}, to which --yes never agrees",
            remedy=f"Answer at a terminal: {question.remedy}",
        )
    risk = highest_risk(question.added)
    if risk.rank > answers.allow_risk.rank:
        worst = next(request for request in question.added if risk_of(request) is risk)
        raise ConsentError(
            f"cannot {question.subject}: {worst.permission} {worst.scope} is of {risk} risk, "
            f"above {answers.allow_risk}",
            remedy=f"Look at it, then pass --allow-risk {risk}",
        )


def render(question: Question) -> Iterator[str]:
    """The lines of a question."""
    yield from question.facts
    for change in question.changes:
        yield f"CHANGED: {change}"
    if question.requests:
        yield "permissions:"
    else:
        yield "permissions: none"
    added = set(question.added)
    for request in sorted(
        question.requests, key=lambda item: (-risk_of(item).rank, item.permission, item.scope)
    ):
        mark = "+" if question.is_widening and request in added else " "
        yield f" {mark} [{risk_of(request)}] {request.permission} {request.scope}: {' '.join(request.reason.split())}"
    for request in question.removed:
        yield f" - {request.permission} {request.scope}: no longer asked for"
    yield from question.notes


def offer_facts(offer: "Offer", cooldown: timedelta) -> Iterator[str]:
    """Who made a release, what the index says about it, and how old it is."""
    publisher, verdict = offer.publisher, offer.verdict
    yield f"{offer.project} {offer.version} from index {offer.index_name}"
    yield f"publisher: {publisher.name} ({publisher.identity}, vouched for by {publisher.issuer})"
    reviewers = ", ".join(verdict.reviewed_by) or "nobody"
    yield f"verdict: {verdict.result} on {verdict.time_verified:%Y-%m-%d}, reviewed by {reviewers}"
    # What the index says of the upload is not signed: it can make a release younger, but never older.
    age = datetime.now(UTC) - max(offer.uploaded or verdict.time_verified, verdict.time_verified)
    text = f"age: {age.days} days" if age.days else f"age: {max(int(age.total_seconds() // 3600), 0)} hours"
    if age < cooldown:
        text += f"; younger than the cooldown of {cooldown.days} days, so few people have seen it"
    yield text
    yield from _capability_facts(offer)
    if offer.warning:
        yield f"warning: {offer.warning}"


def _capability_facts(offer: "Offer") -> Iterator[str]:
    capability = offer.capability
    seen = sorted({use.permission for use in capability.observed})
    yield f"seen to use: {', '.join(seen) or 'nothing that needs a permission'}"
    if capability.undeclared:
        yield f"uses without asking (will be denied): {', '.join(capability.undeclared)}"
    if capability.unused:
        yield f"asks for without visible use: {', '.join(capability.unused)}"


def setting_notes(config: InstanceConfig | None) -> tuple[str, ...]:
    """What a project's file decides about the plugin: its author may be somebody else than the user."""
    if config is None or not config.settings:
        return ()
    return (
        f"configured by the project {config.project}:",
        *(f"   {setting}" for setting in config.settings),
    )


def setting_changes(found: Comparison, config: InstanceConfig | None) -> tuple[str, ...]:
    """A project that the user agreed to before and that configures the plugin otherwise now."""
    if config is None or not found.is_reset:
        return ()
    return (f"the project {config.project} configures it otherwise than before",)


def scope_notes(requests: Sequence[PermissionRequest]) -> tuple[str, ...]:
    """A hint for scopes that depend on configuration which is not known yet."""
    names = sorted({name for request in requests for name in request.references})
    if not names:
        return ()
    verb = "is" if len(names) == 1 else "are"
    return (
        f"scopes with {{config.…}} are shown and asked for again once {', '.join(names)} {verb} configured",
    )
