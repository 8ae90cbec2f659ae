"""Who may call what: one row a method. A method without a row cannot be served."""

from snowmelt.runtime.auth import Policies, Policy, Role

_SERVICE = "/snowmelt.api.retrieval.v1.RetrievalService/"

POLICIES: Policies = {
    _SERVICE + "Retrieve": Policy(Role.SERVICE, deadline_ms=1000),
    _SERVICE + "GetLoadedReleases": Policy(Role.SERVICE, deadline_ms=1000),
}
