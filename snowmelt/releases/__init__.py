"""Releases: published whole, verified before they are opened, activated by generation, followed by services."""

from snowmelt.releases.child import probe_in_child
from snowmelt.releases.manifest import Manifest, Origin, ReleaseFile
from snowmelt.releases.pointer import Active
from snowmelt.releases.store import Listed, ReleaseStore
from snowmelt.releases.watcher import Loaded, ReleaseWatcher

__all__ = [
    "Active",
    "Listed",
    "Loaded",
    "Manifest",
    "Origin",
    "ReleaseFile",
    "ReleaseStore",
    "ReleaseWatcher",
    "probe_in_child",
]
