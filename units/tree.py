"""The unit tree: the only module that knows how it is stored (a path per unit, four characters a level)."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from treebeard.exceptions import InvalidMoveToDescendant, PathOverflow

from citysearch.errors import ServiceError
from units.codes import check_unit_code, significant_prefix
from units.geo import bounding_box, check_polygon
from units.models import Level, Unit

# Greater than every path below a unit, however deep: five levels of the alphabet's last letter.
_LAST = Unit.alphabet[-1] * Unit.steplen * len(Level)

RETENTION_DAYS = (1, 36500)


class BadTree(ServiceError):
    """A unit that does not fit where it was put; `fields['parent']` says why."""

    code = "bad_tree"

    def __init__(self, message: object, **data: object) -> None:
        super().__init__(message, {"parent": message}, **data)


def below(paths: Iterable[str], field: str = "path") -> Q:
    """Rows whose `field` lies at or below any of the paths. Index ranges, no joins, no recursion."""
    condition = Q(pk__in=[])
    for path in paths:
        condition |= Q(**{f"{field}__gte": path, f"{field}__lte": path + _LAST})
    return condition


def around(paths: Iterable[str], field: str = "path") -> Q:
    """Rows whose `field` lies at or below the nearest unit that is at or above all of the paths.

    One index range instead of one for each path, for whoever groups by path afterwards.
    """
    common = os.path.commonprefix(list(paths))
    common = common[: len(common) // Unit.steplen * Unit.steplen]
    return below([common], field) if common else Q()


def subtree(unit: Unit) -> QuerySet[Unit]:
    """The unit and everything below it, in tree order."""
    return Unit.objects.filter(below([unit.path])).order_by("path")


def children(unit: Unit) -> QuerySet[Unit]:
    """The units directly below, in tree order; asks the database, not the unit's remembered count."""
    return Unit.objects.filter(below([unit.path]), depth=unit.depth + 1).order_by("path")


def ancestors(unit: Unit) -> QuerySet[Unit]:
    """The units above, from the city down."""
    return Unit.objects.filter(path__in=ancestor_paths(unit.path)).order_by("path")


def ancestor_paths(path: str) -> list[str]:
    """The paths above a path, from the city down; the path itself is not among them."""
    return [path[:end] for end in range(Unit.steplen, len(path), Unit.steplen)]


def common_path(paths: Iterable[str]) -> str:
    """The path of the lowest unit at or above all of these; empty where no unit holds them all."""
    shared = commonprefix(list(paths))
    return shared[: len(shared) // Unit.steplen * Unit.steplen]


def parent_of(unit: Unit) -> Unit | None:
    """The unit above, or None for a city."""
    return Unit.objects.filter(path=unit.path[: -Unit.steplen]).first()


def unit_path(unit: Unit) -> str:
    """'City / District / Street' down to the unit. For many units use `unit_paths`."""
    return " / ".join([*ancestors(unit).values_list("name", flat=True), unit.name])


def unit_paths(units: Iterable[Unit]) -> dict[int, str]:
    """{unit id: 'City / District / ...'} for many units, in one query."""
    return paths_of((unit.pk, unit.path, unit.name) for unit in units)


def paths_of(units: Iterable[tuple[int, str, str]]) -> dict[int, str]:
    """The same for units given as (id, path, name)."""
    units = list(units)
    wanted = {path for _pk, own, _name in units for path in ancestor_paths(own)}
    names = dict(Unit.objects.filter(path__in=wanted).values_list("path", "name")) if wanted else {}
    return {
        pk: " / ".join([*(names[path] for path in ancestor_paths(own) if path in names), name])
        for pk, own, name in units
    }


def check_place_in_tree(level: int, parent: Unit | None) -> None:
    """Raise BadTree unless the parent is exactly one level above (a city has none)."""
    if level not in Level.values:
        raise BadTree(_("The level must be a number from 1 (city) to 5 (grid), not %(level)s.") % {"level": level})
    found = parent.level if parent else 0
    if found == level - 1:
        return
    if level == Level.CITY:
        raise BadTree(_("A city has no unit above it."))
    raise BadTree(
        _("A %(level)s belongs below a %(needed)s, not below %(parent)s.")
        % {"level": Level(level).label, "needed": Level(level - 1).label, "parent": _named(parent)}
    )


def check_unit(unit: Unit, parent: Unit | None) -> None:
    """Raise BadTree, BadCode or ServiceError unless level, code and retention of the unit fit below the parent."""
    check_place_in_tree(unit.level, parent)
    _check_retention(unit)
    prefix = None if parent is None or parent.free_code else significant_prefix(parent.level, parent.code)
    check_unit_code(unit.level, unit.code, unit.free_code, prefix)


def _check_retention(unit: Unit) -> None:
    """No retention stated is inherited; nought days would have the whole gallery of the unit erased at once."""
    days = unit.retention_days
    if days is None or RETENTION_DAYS[0] <= days <= RETENTION_DAYS[1]:
        return
    values = {"name": _("retention in days"), "low": RETENTION_DAYS[0], "high": RETENTION_DAYS[1], "value": days}
    message = _("%(name)s must be a number from %(low)g to %(high)g, not %(value)s.") % values
    raise ServiceError(message, {"retention_days": message})


def unit_add(parent: Unit | None, **fields: Any) -> Unit:
    """Add a unit as the last child of `parent`; level defaults to the one below the parent's."""
    fields.setdefault("level", parent.level + 1 if parent else int(Level.CITY))
    unit = unit_from(fields, parent)
    if Unit.objects.filter(code=unit.code).exists():
        raise _code_taken(unit.code)
    with transaction.atomic():
        added: Unit = Unit.objects.add_child(parent, instance=unit) if parent else Unit.objects.add_root(instance=unit)
    return added


def unit_move(unit: Unit, parent: Unit | None, before: Unit | None = None) -> Unit:
    """Move a unit and all below it under `parent`, in front of `before` or last; rules of level and code are kept."""
    check_unit(unit, parent)
    target, position = (before, "left") if before else (parent, "last-child")
    if target is None:
        target, position = Unit.objects.get_last_root_node(), "last-sibling"
    try:
        with transaction.atomic():
            Unit.objects.move(unit, target, pos=position)
    except (InvalidMoveToDescendant, PathOverflow) as error:
        raise BadTree(_("%(unit)s cannot be moved below itself.") % {"unit": unit.name}) from error
    unit.refresh_from_db()
    return unit


@transaction.atomic
def units_add_bulk(rows: Sequence[Mapping[str, Any]]) -> dict[Any, Unit]:
    """Add many units at once: {key: Unit}.

    A row holds key, parent_key (None for a city; the key of another row, or the code of a unit that exists), name,
    level, code, polygon, free_code. Paths are computed here and the rows written in one go: 44,000 units in seconds.
    """
    ordered = sorted(rows, key=lambda row: int(row["level"]))
    wanted = {row["parent_key"] for row in rows} - {row["key"] for row in rows} - {None}
    units: dict[Any, Unit] = {}
    known = {unit.code: unit for unit in Unit.objects.select_for_update().filter(code__in=wanted)} if wanted else {}
    places = _Places()
    for row in ordered:
        parent = _parent_of_row(row, units, known)
        fields = {name: value for name, value in row.items() if name not in ("key", "parent_key")}
        unit = units[row["key"]] = unit_from(fields, parent)
        unit.path, unit.depth = places.next_below(parent), (parent.depth + 1 if parent else 1)
        if parent:
            parent.numchild += 1
    _refuse_taken_codes(list(units.values()))
    Unit.objects.bulk_create(units.values(), batch_size=500)
    Unit.objects.bulk_update(known.values(), ["numchild"], batch_size=500)
    return units


class _Places:
    """Hands out the next free path below a unit, asking the database once per unit that had children before."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next_below(self, parent: Unit | None) -> str:
        base = parent.path if parent else ""
        if base not in self._last:
            self._last[base] = self._last_used(parent)
        self._last[base] += 1
        return str(Unit._get_path(base, len(base) // Unit.steplen + 1, self._last[base]))

    @staticmethod
    def _last_used(parent: Unit | None) -> int:
        if parent and not (parent.pk and parent.numchild):
            return 0
        rows = children(parent) if parent else Unit.objects.filter(depth=1)
        path = rows.order_by("-path").values_list("path", flat=True).first()
        return Unit._str2int(path[-Unit.steplen :]) if path else 0


def _parent_of_row(row: Mapping[str, Any], units: Mapping[Any, Unit], known: Mapping[Any, Unit]) -> Unit | None:
    key = row["parent_key"]
    if key is None:
        return None
    if key in units or key in known:
        return units.get(key) or known[key]
    values = {"code": row["code"], "parent": key}
    raise BadTree(_("%(code)s names %(parent)s as the unit above, which is not there.") % values)


def unit_from(fields: Mapping[str, Any], parent: Unit | None) -> Unit:
    """A unit that is not saved yet, with every rule checked and its bounding box filled in."""
    unit = Unit(**fields)
    unit.name = str(unit.name).strip()
    if not unit.name:
        raise ServiceError(_("A unit needs a name."), {"name": _("A unit needs a name.")})
    check_unit(unit, parent)
    polygon_set(unit, unit.polygon)
    return unit


def polygon_set(unit: Unit, polygon: object) -> None:
    """Put a checked polygon (or None) and its bounding box into the unit; the caller saves it."""
    unit.polygon = check_polygon(polygon) if polygon else None
    for side, value in bounding_box(unit.polygon).items():
        setattr(unit, side, value)


def _refuse_taken_codes(units: Sequence[Unit]) -> None:
    codes = [unit.code for unit in units]
    twice = {code for code in codes if codes.count(code) > 1} if len(set(codes)) < len(codes) else set()
    for start in range(0, len(codes), 500):
        twice |= set(Unit.objects.filter(code__in=codes[start : start + 500]).values_list("code", flat=True))
    if twice:
        raise _code_taken(", ".join(sorted(twice)[:5]))


def _code_taken(code: str) -> ServiceError:
    message = _("The code %(code)s is taken by another unit.") % {"code": code}
    return ServiceError(message, {"code": message})


def _named(unit: Unit | None) -> object:
    return f"{unit.name} ({Level(unit.level).label})" if unit else _("nothing")
