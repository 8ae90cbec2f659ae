"""``snowmelt topics``: make the house's topics, see whether they keep what is promised, mend them."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin, TopicSpec, TopicState, house_topics
from snowmelt.runtime.kafka.topic_rules import NODES, Fault, Rules, unequal

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, check and mend the topics")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]
TIMEOUT_S = 5.0


@app.command()
def check(
    as_json: AsJson = False,
    reassignment: Annotated[
        bool, typer.Option("--reassignment", help="print the file that kafka-reassign-partitions.sh takes")
    ] = False,
) -> None:
    """Each topic, what is wrong with it, and the command that mends it; exit code 1 where something is."""
    admin, rules = _asked()
    states, faults = _look(admin, rules)
    if reassignment:
        print(rules.reassignment(list(states.values())))
        return
    _tell(states, faults, as_json)
    if faults:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, max=1024, help="of each topic that is made")] = 8,
    replication: Annotated[
        int | None, typer.Option(min=1, max=9, help="copies of a partition; default: 3 where there are three nodes")
    ] = None,
    mend: Annotated[bool, typer.Option("--mend", help="also change settings that are wrong")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the topics that are missing; what is there stays as it is, but for --mend."""
    admin, rules = _asked()
    nodes = len(rules.nodes)
    if replication and replication > nodes:
        raise SnowmeltError(Reason.INVALID_FIELD, f"replication {replication} needs as many nodes; there are {nodes}")
    there = admin.partitions(_names())
    copies = replication or (NODES if nodes >= NODES else -1)
    missing = [spec for spec in house_topics(partitions, copies) if spec.name not in there]
    if missing and not dry_run:
        admin.create_topics(missing)
    faults = _look(admin, rules)[1]
    made = {spec.name for spec in missing}
    mended = [each for each in faults if each.config and mend and each.topic not in made]
    for fault in mended if not dry_run else ():
        admin.set_config(fault.topic, fault.config)
    if mended and not dry_run:
        faults = _look(admin, rules)[1]
    if as_json:
        document = {"dry_run": dry_run, "created": sorted(made), "mended": [asdict(each) for each in mended]}
        print(json.dumps(document | {"faults": [asdict(each) for each in faults]}))
    else:
        _tell_done(missing, mended, faults, dry_run)
    if not dry_run and faults:
        raise typer.Exit(ExitCode.FAILED)


def _names() -> list[str]:
    return [spec.name for spec in house_topics()]


def _asked() -> tuple[Admin, Rules]:
    settings = Settings.load()
    if settings.embedded and settings.kafka_incarnation:
        detail = "the embedded broker makes its topics itself and keeps no settings of them: nothing to check or make"
        raise SnowmeltError(Reason.INVALID_FIELD, detail)
    admin = Admin.at_once(settings.kafka_bootstrap, TIMEOUT_S)
    return admin, Rules(settings.kafka_bootstrap, admin.nodes(), historical=settings.clock_offset_ms != 0)


def _look(admin: Admin, rules: Rules) -> tuple[dict[str, TopicState], list[Fault]]:
    states = admin.describe(_names())
    faults = [rules.missing(name) for name in _names() if name not in states]
    return states, faults + [fault for state in states.values() for fault in rules.faults(state)]


def _tell(states: dict[str, TopicState], faults: list[Fault], as_json: bool) -> None:
    remark = unequal(states)
    if as_json:
        document = {"topics": [_figures(state) for state in states.values()], "faults": [asdict(f) for f in faults]}
        print(json.dumps(document | {"remark": remark}))
        return
    if states:
        print(f"{'topic':<22} {'partitions':>10} {'copies':>6} {'in sync':>7}  {'policy':<8} {'kept':<10} up to")
    for state in states.values():
        row = _figures(state)
        print(
            f"{row['topic']:<22} {row['partitions']:>10} {row['replication']:>6} {row['min_insync_replicas']:>7}"
            f"  {row['cleanup_policy']:<8} {_kept(row['retention_ms'], row['cleanup_policy']):<10} "
            f"{_bounded(row['retention_bytes'], row['cleanup_policy'])}"
        )
    _tell_faults(faults)
    if remark:
        print(f"note: {remark}")
    if not faults:
        print("all topics keep what docs/delivery.md promises")


def _tell_done(missing: list[TopicSpec], mended: list[Fault], faults: list[Fault], dry_run: bool) -> None:
    for spec in missing:
        copies = f", {spec.replication} copies" if spec.replication > 0 else ""
        print(f"{'would make' if dry_run else 'made'} {spec.name}: {spec.partitions} partitions{copies}")
    for fault in mended:
        changes = ", ".join(f"{key}={value}" for key, value in fault.config.items())
        print(f"{'would set' if dry_run else 'set'} {fault.topic}: {changes}")
    made = {spec.name for spec in missing}
    left = [each for each in faults if each.topic not in made and each not in mended]
    _tell_faults(left)
    if any(each.config for each in left):
        print("`snowmelt topics create --mend` changes the settings")
    if not (missing or mended or left):
        print("all topics are there; nothing to do")


def _tell_faults(faults: list[Fault]) -> None:
    for fault in faults:
        print(f"{fault.topic}: {fault.said}\n  {fault.command}")


def _figures(state: TopicState) -> dict[str, Any]:
    def number(key: str) -> int:
        return int(state.config.get(key, -1))

    return {
        "topic": state.name,
        "partitions": len(state.replicas),
        "replication": min(map(len, state.replicas)),
        "min_insync_replicas": number("min.insync.replicas"),
        "cleanup_policy": state.config.get("cleanup.policy", ""),
        "retention_ms": number("retention.ms"),
        "retention_bytes": number("retention.bytes"),
    }


def _kept(retention_ms: int, policy: str) -> str:
    if policy == "compact":
        return "newest"
    return "for ever" if retention_ms < 0 else f"{retention_ms / DAY_MS:.3g} days"


def _bounded(retention_bytes: int, policy: str) -> str:
    return "any size" if retention_bytes < 0 or policy == "compact" else f"{retention_bytes / (1 << 30):.3g} GiB"
