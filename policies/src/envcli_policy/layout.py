"""Layouts: which steps a release must have gone through, and who may have performed each.

Modelled on in-toto layouts (https://github.com/in-toto/specification), reduced to attestations: a step
names a predicate, the functionaries who may sign it, how many distinct ones must, and what the predicate
must say. The evaluation is pure: it runs nothing and reads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from envcli_policy.errors import MalformedError, PolicyError
from envcli_policy.statements import Functionary, PredicateKind, Subject, VerifiedStatement
from envcli_policy.strict_json import Fields, parse_json

MAX_LAYOUT_BYTES = 256 * 1024


class LayoutError(PolicyError):
    """The statements do not satisfy the layout."""

    rule = "layout-unsatisfied"


class StepMissingError(LayoutError):
    """Too few functionaries performed a step for some file."""

    rule = "layout-step-missing"


class ConstraintError(LayoutError):
    """A statement says something that the layout does not allow, such as a failed test result."""

    rule = "layout-constraint"


class DisjointError(LayoutError):
    """The same functionary, or two of the same publisher, performed two steps that must be apart."""

    rule = "layout-disjoint"


@dataclass(frozen=True, slots=True)
class FunctionaryRule:
    """Who may perform a step: everyone with this role, narrowed by identity and issuer where given."""

    role: str
    identity: str | None = None
    issuer: str | None = None

    def matches(self, who: Functionary) -> bool:
        """Whether `who` is meant."""
        return (
            who.role == self.role
            and self.identity in (None, who.identity)
            and self.issuer in (None, who.issuer)
        )


@dataclass(frozen=True, slots=True)
class Constraint:
    """The value at `field` (dotted path into the predicate) must be one of `allowed`."""

    field: str
    allowed: tuple[Any, ...]

    def holds(self, predicate: Mapping[str, Any]) -> bool:
        """Whether the predicate has the field with an allowed value of the same JSON type."""
        value: Any = predicate
        for part in self.field.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return any(type(value) is type(allowed) and value == allowed for allowed in self.allowed)


@dataclass(frozen=True, slots=True)
class Exemption:
    """The step is not required when every statement of `step` fulfils `constraint`."""

    step: str
    constraint: Constraint


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way of a release."""

    name: str
    predicate: PredicateKind
    functionaries: tuple[FunctionaryRule, ...]
    threshold: int
    constraints: tuple[Constraint, ...] = ()
    unless: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Every step, and the groups of steps whose functionaries must be disjoint."""

    name: str
    steps: tuple[Step, ...]
    disjoint: tuple[tuple[str, ...], ...] = ()

    def may_waive(self, kind: PredicateKind) -> bool:
        """Whether some outcome of another step makes every step of this kind unnecessary."""
        return all(step.unless is not None for step in self.steps if step.predicate is kind)

    @classmethod
    def from_json(cls, data: bytes) -> Layout:
        """Parse a layout, for instance the TUF target ``trust/layout.json``.

        Raises:
            MalformedError: Not the documented shape, no step, a threshold below one, or a reference to a step
                that does not exist.
        """
        fields = Fields(parse_json(data, limit=MAX_LAYOUT_BYTES, what="layout"), "layout")
        fields.only("version", "name", "steps", "disjoint").integer("version", low=1, high=1)
        steps = tuple(_parse_step(entry) for entry in fields.objects("steps", limit=50))
        disjoint = tuple(_parse_group(group) for group in fields.items("disjoint", limit=50))
        layout = cls(fields.text("name", limit=100), steps, disjoint)
        _check_references(layout)
        return layout

    @property
    def roles(self) -> frozenset[str]:
        """Every role that may perform a step."""
        return frozenset(rule.role for step in self.steps for rule in step.functionaries)


def default_layout() -> bytes:
    """The layout that ships with the package, as JSON."""
    return files("envcli_policy").joinpath("data/layouts/default.json").read_bytes()


def verify_layout(
    layout: Layout, statements: Sequence[VerifiedStatement], subjects: Iterable[Subject]
) -> None:
    """Check that every file went through every step.

    Args:
        layout: The layout in force.
        statements: Statements whose signatures were already verified; others are of no use here.
        subjects: Every file of the release. None at all is refused.

    Raises:
        StepMissingError: A step was performed by too few functionaries for some file.
        ConstraintError: A functionary of a step said something the layout does not allow.
        DisjointError: Two steps that must be apart share a functionary, or functionaries of one publisher.
    """
    wanted = tuple(subjects)
    if not wanted:
        raise LayoutError("the release has no file, so nothing can be shown about it")
    performed = {step.name: _performed_by(step, statements, wanted) for step in layout.steps}
    for step in layout.steps:
        _check_step(step, performed, wanted)
    for group in layout.disjoint:
        _check_disjoint(group, performed)


def is_exempt(step: Step, performed: Mapping[str, Sequence[VerifiedStatement]]) -> bool:
    """Whether `step` is not required, given by step name what qualified functionaries stated.

    All statements of the step that the exemption refers to must say so: one that differs, and none at all,
    leave the step required.
    """
    if step.unless is None:
        return False
    grounds = performed.get(step.unless.step, ())
    return bool(grounds) and all(step.unless.constraint.holds(one.statement.predicate) for one in grounds)


def _performed_by(
    step: Step, statements: Sequence[VerifiedStatement], wanted: tuple[Subject, ...]
) -> tuple[VerifiedStatement, ...]:
    """The statements of the step's kind, by its functionaries, about at least one of the files."""
    return tuple(
        one
        for one in statements
        if one.kind is step.predicate
        and any(rule.matches(one.functionary) for rule in step.functionaries)
        and not set(wanted).isdisjoint(one.statement.subjects)
    )


def _check_step(
    step: Step, performed: Mapping[str, tuple[VerifiedStatement, ...]], wanted: tuple[Subject, ...]
) -> None:
    mine = performed[step.name]
    for one in mine:
        _check_constraints(step, one)
    if is_exempt(step, performed):
        return
    for subject in wanted:
        who = {one.functionary.identity for one in mine if subject in one.statement.subjects}
        if len(who) < step.threshold:
            roles = " or ".join(sorted({rule.role for rule in step.functionaries}))
            raise StepMissingError(
                f"step {step.name!r} of {subject.name} was performed by {len(who)} of {step.threshold} "
                f"functionaries ({roles})",
                remedy="The release is promoted once every step was performed for every file",
            )


def _check_constraints(step: Step, one: VerifiedStatement) -> None:
    for constraint in step.constraints:
        if not constraint.holds(one.statement.predicate):
            allowed = " or ".join(json.dumps(value) for value in constraint.allowed)
            raise ConstraintError(
                f"step {step.name!r}: {constraint.field!r} in the statement of {one.functionary.name} "
                f"is not {allowed}"
            )


def _check_disjoint(group: tuple[str, ...], performed: Mapping[str, tuple[VerifiedStatement, ...]]) -> None:
    seen: dict[str, str] = {}
    for step in group:
        who = [one.functionary for one in performed[step]]
        for mark in {mark for one in who for mark in (one.identity, *one.publishers)}:
            if mark in seen:
                raise DisjointError(
                    f"{mark} performed both {seen[mark]!r} and {step!r}",
                    remedy="These steps must be performed by different functionaries",
                )
            seen[mark] = step


def _parse_step(entry: Fields) -> Step:
    entry.only("name", "predicate", "functionaries", "threshold", "constraints", "unless")
    try:
        predicate = PredicateKind(entry.text("predicate", limit=50))
    except ValueError as error:
        raise MalformedError(
            f"{entry.what}: the predicate must be one of {', '.join(PredicateKind)}"
        ) from error
    rules = tuple(_parse_rule(rule) for rule in entry.objects("functionaries", limit=100))
    if not rules:
        raise MalformedError(f"{entry.what}: nobody may perform this step")
    return Step(
        name=entry.text("name", limit=100),
        predicate=predicate,
        functionaries=rules,
        threshold=entry.integer("threshold", low=1, high=100),
        constraints=tuple(_parse_constraint(one) for one in entry.objects("constraints", limit=50)),
        unless=_parse_exemption(entry.object("unless")) if "unless" in entry else None,
    )


def _parse_rule(entry: Fields) -> FunctionaryRule:
    entry.only("role", "identity", "issuer")
    return FunctionaryRule(
        entry.text("role", limit=50),
        entry.optional_text("identity", limit=500),
        entry.optional_text("issuer", limit=500),
    )


def _parse_constraint(entry: Fields) -> Constraint:
    allowed = tuple(entry.only("field", "allowed").items("allowed", limit=50))
    if not allowed:
        raise MalformedError(f"{entry.what}: 'allowed' must not be empty")
    return Constraint(entry.text("field", limit=200), allowed)


def _parse_exemption(entry: Fields) -> Exemption:
    entry.only("step", "field", "allowed")
    constraint = Constraint(entry.text("field", limit=200), tuple(entry.items("allowed", limit=50)))
    return Exemption(entry.text("step", limit=100), constraint)


def _parse_group(group: Any) -> tuple[str, ...]:
    if not isinstance(group, list) or len(group) < 2 or not all(isinstance(name, str) for name in group):
        raise MalformedError(
            "layout: every group of disjoint steps must be a list of at least two step names"
        )
    return tuple(group)


def _check_references(layout: Layout) -> None:
    names = [step.name for step in layout.steps]
    if not names or len(set(names)) != len(names):
        raise MalformedError("layout: steps must be present and their names unique")
    referred = [name for group in layout.disjoint for name in group]
    referred += [step.unless.step for step in layout.steps if step.unless]
    if unknown := sorted(set(referred) - set(names)):
        raise MalformedError(f"layout: there is no step {unknown[0]!r}")
