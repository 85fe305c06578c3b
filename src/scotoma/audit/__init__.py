"""The audit: rules and measurement together; running a model confirms or weakens what rules say.

`bench` runs the file as it is, `exam` adds the map of influence, a module of `checks` for each
family of rules turns both into evidence, `thresholds` holds figures against limits, and `audit`
puts it all into the report of a model, within a `budget`.
"""

from __future__ import annotations

from scotoma.audit.audit import AuditOptions, audit_model, demoted
from scotoma.audit.budget import Budget

__all__ = ["AuditOptions", "Budget", "audit_model", "demoted"]
