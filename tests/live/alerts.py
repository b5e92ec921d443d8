"""The specification's seven alerts, and what the agent is to make of each; `test_seven_alerts` plays them.

Where a runbook has a second way, it has a second case.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.control_plane.plane import ControlPlane
from tests.live.broken import (
    APP,
    DEMO,
    NODE,
    Labels,
    cordoned_node,
    cordoned_sick_node,
    crash_for_memory,
    crash_from_the_start,
    crash_since_the_release,
    dead_node,
    is_given_back,
    is_moved,
    is_replaced,
    killed_for_memory,
    missing_config_map,
    missing_image,
    near_its_limit,
)

FALLBACK = "us-docker.pkg.dev/google-samples/containers/gke/hello-app:1.0"
GONE = "(gone, or never there); nothing is done to another one because of it"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert. `breaks` makes what it is about and answers the labels that say so.

    action  what the agent recommends; None where the honest answer is no change
    healed  whether what was broken is well again; None where auto does nothing about it
    why     what a step says: why nothing is done, or in a second run, nothing more
    """

    id: str
    alert: str
    runbook: str
    breaks: Callable[[ControlPlane], Labels]
    why: str
    action: str | None = None
    healed: Callable[[ControlPlane], bool] | None = None


CASES = (
    Case(
        id="image",
        alert="KubePodImagePullBackOff",
        runbook="RB_IMAGEPULL",
        breaks=missing_image,
        action=f"patch_image:{DEMO}/{APP}/app:{FALLBACK}",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="oom",
        alert="KubePodOOMKilled",
        runbook="RB_OOM",
        breaks=killed_for_memory,
        action=f"patch_memory_limit:{DEMO}/{APP}/app:128Mi→256Mi",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="near-limit",
        alert="KubePodMemoryNearLimit",
        runbook="RB_OOM",
        breaks=near_its_limit,
        action=f"patch_memory_limit:{DEMO}/{APP}/app:128Mi→256Mi",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="creating-without-config",
        alert="KubePodContainerCreatingStuck",
        runbook="RB_CONTAINERCREATING",
        breaks=missing_config_map,
        why="increase_memory_limit skipped",
    ),
    Case(
        id="creating-without-image",
        alert="KubePodContainerCreatingStuck",
        runbook="RB_CONTAINERCREATING",
        breaks=missing_image,
        action=f"patch_image:{DEMO}/{APP}/app:{FALLBACK}",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="creating-for-memory",
        alert="KubePodContainerCreatingStuck",
        runbook="RB_CONTAINERCREATING",
        breaks=killed_for_memory,
        action=f"patch_memory_limit:{DEMO}/{APP}/app:128Mi→256Mi",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="crash-for-memory",
        alert="KubePodCrashLoopBackOff",
        runbook="RB_CRASHLOOP",
        breaks=crash_for_memory,
        action=f"patch_memory_limit:{DEMO}/{APP}/app:256Mi→512Mi",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="crash-without-image",
        alert="KubePodCrashLoopBackOff",
        runbook="RB_CRASHLOOP",
        breaks=missing_image,
        action=f"patch_image:{DEMO}/{APP}/app:{FALLBACK}",
        healed=is_replaced,
        why=GONE,
    ),
    Case(
        id="crash-since-release",
        alert="KubePodCrashLoopBackOff",
        runbook="RB_CRASHLOOP",
        breaks=crash_since_the_release,
        action=f"rollback_deployment:{DEMO}/{APP}:revision 2→1",
        why="rollback_deployment proposed",
    ),
    Case(
        id="crash-from-start",
        alert="KubePodCrashLoopBackOff",
        runbook="RB_CRASHLOOP",
        breaks=crash_from_the_start,
        why="rollback_deployment skipped",
    ),
    Case(
        id="cordoned",
        alert="KubeNodeUnschedulable",
        runbook="RB_NODE_UNSCHEDULABLE",
        breaks=cordoned_node,
        action=f"uncordon_node:{NODE}",
        healed=is_given_back,
        why="uncordon_node skipped",
    ),
    Case(
        id="cordoned-and-sick",
        alert="KubeNodeUnschedulable",
        runbook="RB_NODE_UNSCHEDULABLE",
        breaks=cordoned_sick_node,
        why="uncordon_node skipped",
    ),
    Case(
        id="dead-node",
        alert="KubeNodeNotReady",
        runbook="RB_NODE_NOTREADY",
        breaks=dead_node,
        action=f"cordon_node:{NODE}; drain_node:{NODE}:evicted=2,left=0",
        healed=is_moved,
        why="nothing to evict",
    ),
)

REQUESTS = {
    "image": (14, 18),
    "oom": (17, 21),
    "near-limit": (18, 22),
    "creating-without-config": (12, 12),
    "creating-without-image": (18, 22),
    "creating-for-memory": (23, 27),
    "crash-for-memory": (30, 34),
    "crash-without-image": (25, 29),
    "crash-since-release": (25, 25),
    "crash-from-start": (19, 19),
    "cordoned": (8, 12),
    "cordoned-and-sick": (5, 5),
    "dead-node": (15, 24),
}
"""What each case asks of the API server, all told, in recommend and in auto: one number more or less is a change.

Auto looks at the stop switch once more before each write, and sends the dry run, the write and the Event beside; on the
dead node two evictions, which have no dry run.
"""
