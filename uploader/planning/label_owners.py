"""Which row of a plan a session label was made for. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from xnat_config.labels import LabelRules

from .labels import has_own_label, row_label
from .plan import PlanRow


class LabelOwners:
    """The labels that the site's rules make of the rows, held against those that they have."""

    def __init__(self, rows: Sequence[PlanRow], rules: LabelRules) -> None:
        self._rules = rules
        self._foreign = {row.key for row in rows if not has_own_label(row, rules)}
        # A row that has its own label has lost it to nobody.
        self._owners: dict[tuple[str, str], list[PlanRow]] = defaultdict(list)
        for row in rows if self._foreign else ():
            if row.key in self._foreign:
                made = row_label(row, rules)
                self._owners[row.project.casefold(), made.casefold()].append(row)

    def other_owner(self, row: PlanRow) -> str:
        """Return the folder of the row that has lost this row's label to it; empty if none has."""
        if row.key not in self._foreign or not row.session:
            return ""
        project, label = row.project.casefold(), row.session.casefold()
        head, again, number = label.rpartition(self._rules.again.casefold())
        names = [label, head] if again and number.isdigit() else [label]
        for name in names:
            for owner in self._owners.get((project, name), ()):
                if owner.key != row.key:
                    return owner.source
        return ""
