"""Who may call what: the gateway, with the token of a service."""

from snowmelt.runtime.auth import Policies, Policy, Role

_RANKER = "/snowmelt.api.ranker.v1.RankerService/"

POLICIES: Policies = {
    _RANKER + "Rank": Policy(Role.SERVICE),
    _RANKER + "GetLoadedReleases": Policy(Role.SERVICE),
}
