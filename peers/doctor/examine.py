"""The order of the checks, for a hospital and for an aggregator."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from peers.config import kind_of, load_aggregator, load_hospital
from peers.config_aggregator import AggregatorConfig
from peers.config_hospital import HospitalConfig
from peers.doctor import canary, code, line, site
from peers.doctor.findings import Report
from peers.membership import Membership
from peers.policy_terms import policy_of
from secagg.drivers.aggregator.vitals import needed_bytes
from secagg.drivers.clock import Clock, SystemClock
from secagg.entropy import Entropy, SystemEntropy
from secagg.params import input_floor
from secagg.roster import AGGREGATOR, HOSPITAL


@dataclass(frozen=True, slots=True)
class Means:
    """What an examination uses of this machine."""

    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)


async def examine(path: Path, report: Report, means: Means | None = None) -> None:
    """Check the site whose configuration is in `path`; nothing is started or joined.

    Args:
        path: the file of a hospital or an aggregator.
        report: where to say it.
        means: clock and entropy; by default this machine's.
    """
    used = means or Means()
    load: Callable[[Path], HospitalConfig | AggregatorConfig] = load_hospital
    if kind_of(path) is AggregatorConfig:
        load = load_aggregator
    with report.checking("configuration"):
        config = load(path)
        kind = "a hospital's" if load is load_hospital else "an aggregator's"
        report.ok("configuration", f"{path} is {kind}")
        site.check_versions(report)
        member = site.check_member(report, config)
        site.check_certificate(report, config.tls, used.clock.now_ms())
        site.check_state(report, config.state)
        if isinstance(config, HospitalConfig):
            await _hospital(report, config, member, path.parent, used)
        else:
            await _aggregator(report, config, member, path.parent, used)


async def _hospital(
    report: Report,
    config: HospitalConfig,
    member: Membership | None,
    folder: Path,
    means: Means,
) -> None:
    site.check_disk(report, config.state)
    code.check_packages(report, code.hospital_packages(config))
    site.check_engine(report, config.engine)
    code.check_trainer(report, config, folder)
    check_policy(report, config, member)
    if member is None or not report.passed_check("roster"):
        return
    await _line(report, config, member, means)
    await canary.check_canary(
        report,
        member.identity,
        HOSPITAL,
        entropy=means.entropy,
        engine=config.engine,
    )


def check_policy(
    report: Report, config: HospitalConfig, member: Membership | None
) -> None:
    """Check the policy, and that the roster is not below what it asks for."""
    with report.checking("policy"):
        policy = policy_of(config.policy, config.tasks)
        least = max(policy.min_members, 3 * policy.corruption_bound + 1)
        hospitals = 0 if member is None else len(member.roster.hospitals)
        if 0 < hospitals < least:
            report.warn(
                "policy",
                f"it asks for sessions of {least} hospitals or more, and the roster has"
                f" {hospitals}: none is joined before more are accepted, or"
                " min_members and corruption_bound in [policy] are lower",
            )


async def _line(
    report: Report, config: HospitalConfig, member: Membership, means: Means
) -> None:
    with report.checking("aggregator"):
        way = line.Way(
            config=config,
            member=member,
            aggregator=line.aggregator_of(member),
            clock=means.clock,
            entropy=means.entropy,
        )
        with site.held_store(report, config.state, member.identity.id) as alone:
            await line.check_line(report, way, alone=alone)


async def _aggregator(
    report: Report,
    config: AggregatorConfig,
    member: Membership | None,
    folder: Path,
    means: Means,
) -> None:
    code.check_packages(report, code.aggregator_packages(config))
    if config.journal.database is not None:
        site.check_journal(report, config.journal.database)
    task = code.check_model(report, config, folder)
    if member is not None and task is not None:
        hospitals = len(member.roster.hospitals)
        needed = needed_bytes(hospitals, task.length)
        site.check_room(report, config.state, needed)
        check_members(report, config, hospitals)
    check_port(report, config.listen.host, config.listen.port)
    if member is not None and report.passed_check("roster"):
        await canary.check_canary(
            report, member.identity, AGGREGATOR, entropy=means.entropy
        )


def check_members(report: Report, config: AggregatorConfig, hospitals: int) -> None:
    """Check that the roster has as many hospitals as a round of the task needs."""
    c = config.task.corruption_bound
    least = max(config.task.min_members, 3 * c + 1, input_floor(3 * c + 1, c))
    said = f"{hospitals} hospitals in the roster, a round needs {least}"
    if hospitals < least:
        report.fail(
            "members",
            f"{said}: have more accepted, or lower [task] min_members or"
            " corruption_bound",
        )
    else:
        report.ok("members", said)


def check_port(report: Report, host: str, port: int) -> None:
    """Check that hospitals can dial in here, unless somebody listens already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As a server does: what was closed a moment ago is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        report.warn(
            "listen",
            f"{host}:{port} cannot be bound ({error.strerror}): if no aggregator runs"
            " here, stop what uses it, or choose another in [listen]",
        )
    else:
        report.ok("listen", f"{host}:{port} is free")
