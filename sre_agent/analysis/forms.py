"""The forms in which facts stand in an analysis, as expressions: what `claims` and `checker` look for."""

import re

from sre_agent.analysis.texts import WEEKDAYS
from sre_agent.tools.registry import REMEDIATIONS

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH = "|".join((*MONTHS, *(f"{month[:3]}" for month in MONTHS)))

REFERENCE = re.compile(r"\[events?\b[^\]]*\]|\bevents? +#?\d+(?:(?:, *| and |-|–)#?\d+)*", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")
MONTH_DAY = re.compile(rf"\b(?:({_MONTH})\.? +(\d{{1,2}})|(\d{{1,2}})\.? +(?:of +)?({_MONTH}))\b(?:,? +(\d{{4}}))?")
OTHER_DATE = re.compile(
    r"\b(?:\d{1,4}/\d{1,2}/\d{1,4}|\d{1,2}\.\d{1,2}\.\d{4}|20\d{6}|yesterday|tomorrow|\w+ ago"
    rf"|last (?:night|week|month|year|\w+day)|this (?:morning|week|month)|(?:{'|'.join(MONTHS)}) +\d{{4}})\b",
    re.IGNORECASE,
)
WEEKDAY = re.compile(rf"\b({'|'.join(WEEKDAYS)})s?\b")
CLOCK = re.compile(r"(?<![\d:])(\d{1,2}:\d{2})(?::\d{2})?(?!\d)( ?[ap]\.?m\b)?", re.IGNORECASE)
HALF_DAY = re.compile(r"\b\d{1,2} ?(?:[ap]\.?m\.?|o'clock)(?!\w)", re.IGNORECASE)
ZONE = re.compile(r"(?<=:\d\d) ?(?:[A-Z]{1,4}[SD]T|CES?T|[ECW]ET|MSK|GMT ?[+-]\d+|[+-]\d{2}:?\d{2})\b")
SHARE = re.compile(r"\b(\d+) (?:of|out of)(?: the)?(?: last)? (\d+)\b")
TIMES = re.compile(r"(?:\b(\w+) +)?\b(\d+ +times?|twice)\b(?: +(after)\b)?", re.IGNORECASE)
COUNT = re.compile(r"(?<![\w.:-])(\d+) +(occurrence|workload|incident|month|week|day|hour|minute)s?\b")
COUNTED = re.compile(
    r"(?<![\w.:-])(\d+) +(pod|node|replica|restart|container|deployment|deploy|request|error|user|customer|service|"
    r"namespace|second|year|alert|kill|crash(?=e)|failure|raise|attempt|run|action|event)(?:e?s)?\b"
)
INCIDENT = re.compile(r"\bincidents? +#?(\d+)\b")
PER_CENT = re.compile(r"\d+(?:\.\d+)? ?%")
NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")
QUANTITY = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[KMGTPE]i?|m)(?![\w])")
DURATION = re.compile(r"(?<![\w.:-])(?:\d+[dhms])+(?!\w)")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)*")
AFTER_KIND = re.compile(
    r"\b(?:pods?|nodes?|deployments?|statefulsets?|daemonsets?|replicasets?|jobs?|namespaces?|containers?|workloads?) +"
    r"([a-z0-9][\w.-]*(?:/[\w.-]+)*)",
    re.IGNORECASE,
)

ACTION_WORDS = frozenset(tool.action_word for tool in REMEDIATIONS.values())
ACTION = re.compile(rf"\b(?:{'|'.join(sorted(ACTION_WORDS))}):[^\s;]+(?: \d+→\d+)?")
DEED = re.compile(
    r"\b(did|done|executed|performed|applied|took|taken|ran|sent)\b[^`.]{0,40}`([\ue000-\uf8ff])`", re.IGNORECASE
)

DONE_WORDS = {
    "cordoned": "cordon_node",
    "uncordoned": "uncordon_node",
    "drained": "drain_node",
    "evicted": "drain_node",
    "deleted": "delete_pod",
    "rolled back": "rollback_deployment",
    "reverted": "rollback_deployment",
    "raised": "patch_memory_limit",
    "increased": "patch_memory_limit",
    "doubled": "patch_memory_limit",
    "patched": "patch_memory_limit|patch_image",
}
"""Verbs of what the tools do, with the words of the actions that bear them out."""
OF_A_LIMIT = frozenset({"raised", "increased", "doubled", "lowered", "reduced", "decreased"})
"""Those of them that alerts and usage have, too: they count where a limit is spoken of."""
UNDOABLE_WORDS = (
    "rebooted",
    "lowered",
    "reduced",
    "decreased",
    "scaled up",
    "scaled down",
    "scaled out",
    "scaled in",
    "upgraded",
    "downgraded",
)
"""Verbs of what no tool does."""
DONE_WORD = re.compile(
    rf"(?<!not )(?<!never )(?<!be )(?<!not been )\b({'|'.join((*DONE_WORDS, *UNDOABLE_WORDS))})\b",
    re.IGNORECASE,
)
NOT_DONE = re.compile(
    rf"\b(?:not|never)(?: been| yet been)? ({'|'.join(DONE_WORDS)})\b|n't(?: been)? ({'|'.join(DONE_WORDS)})\b",
    re.IGNORECASE,
)
NOTHING_DONE = re.compile(
    r"\bnothing (?:was|has been|had been) (?:changed|done|sent|modified|touched|tried)\b"
    r"|\bno (?:actions?|changes?|remediation|fix) (?:was|were|has been|have been|had been) \w+"
    r"|\b(?:took|made|performed|applied) no (?:actions?|changes?|remediation)\b"
    r"|\b(?:changed|did|touched) nothing\b"
    r"|\b(?:did not|didn't) (?:change|modify|act|take|touch|make)\b",
    re.IGNORECASE,
)
CALM = re.compile(
    r"\b(?:all|everything) is (?:well|fine|ok|okay|good)\b|\bfalse (?:alarm|positive)\b"
    r"|\bsafe(?:ly)? (?:to |be )?(?:ignored?|closed?|dismiss(?:ed)?)\b|\bcan be (?:ignored|closed|dismissed)\b"
    r"|\bno (?:further |more |other )?(?:actions?|follow-ups?|intervention|work|investigation)(?: is| are)? "
    r"(?:needed|required|necessary)\b|\bnothing (?:to worry|else to do|more to do|is wrong)\b"
    r"|\bno longer (?:firing|fires|present|not ready)\b|\bback to normal\b"
    r"|\b(?:is|are) (?:now|again) (?:healthy|ready|fine)\b|\b(?:is|are) (?:healthy|ready|fine) (?:now|again)\b"
    r"|\bgo back to (?:sleep|bed)\b|\b(?:works?|working|runs?|running) (?:again|fine|normally|well)\b"
    r"|\b(?:alert|problem|issue|symptom|error)s? (?:has |have |is |are |was |were )?(?:(?:now|fully|been|already) )*"
    r"(?:cleared|stopped|gone|solved|addressed|resolved|over|recovered)\b"
    r"|\b(?:application|workload|pods?|containers?|node|service|deployment) (?:has |have )?(?:(?:now|since|already) )*"
    r"recovered\b"
    r"|(?<!not )(?<!never )\b(?:solved|fixed|cured|resolved) (?:it|this|the (?:problem|issue|symptom|alert))\b",
    re.IGNORECASE,
)
"""That there is nothing to do any more. The facts say so only of an incident that has ended."""
OFFERED_WORDS = {
    "cordon_node": r"cordon(?:ing)?",
    "uncordon_node": r"uncordon(?:ing)?",
    "drain_node": r"drain(?:ing)?|evicti(?:ng|on)",
    "delete_pod": r"delet(?:e|ing|ion)|restarting",
    "rollback_deployment": r"roll(?:ing)? back|rollback|revert(?:ing)?",
    "patch_memory_limit": r"(?:rais|increas|doubl)(?:e|ing)",
    "patch_image": r"(?:chang|correct|fix|replac)ing the image",
}
"""How a change is spoken of that was not made: the words of each action."""
OFFER = re.compile(
    rf"\b(?:agent|run|step|runbook)\b[^.;]*?\b(?:recommend|propose|suggest)(?:s|d|ed)?\b(?!ation)[^.;]*?"
    rf"\b({'|'.join(OFFERED_WORDS.values())})\b",
    re.IGNORECASE,
)
RISKY = re.compile(
    r"(?:^\s*(?:[-*+] )?|[.;:!?,] *|\b(?:please|should|must|then|and|or|to|now|immediately|simply|just|can|you) )"
    r"(delete|remove|destroy|wipe|erase|purge|drop|format|disable|uninstall|terminate|kill|shut down|power off|turn off"
    r"|visit|click|enter|type|log in|sign in|paste|download|install|scale(?=[^.;]*\b(?:down|zero|0)\b)"
    r"|expose|grant|share|send|post|publish|email|forward|chmod|silence|ignore|disregard|bypass|override|forget)\b",
    re.IGNORECASE,
)
"""What destroys, opens or silences something: an order to do so is a person's own, or the recorded action's."""
ADVISED_SPAN = re.compile(
    r"\b(?:for|within|over|every|after|next|least|about|in)(?: the)?(?: (?:next|last|past|coming|least))? \d+ "
    r"(?:minute|hour|day|week|month)s?\b",
    re.IGNORECASE,
)
"""How long an advice wants something to be done."""
AGENT_VERB = re.compile(
    r"(?<!let the )\bagent (?:(?:then|also|has|had|already|automatically|therefore|first|next|now|itself|in turn) )*"
    r"([a-z']+)",
    re.IGNORECASE,
)
AGENT_LOOKS = frozenset(
    {
        *("did", "does", "do", "is", "was", "were", "cannot", "could", "couldn't", "can", "has", "had", "may", "might"),
        *(
            "must",
            "should",
            "and",
            "that",
            "which",
            "itself",
            "alone",
            "in",
            "by",
            "because",
            "on",
            "to",
            "for",
            "with",
        ),
        *(
            "recommends",
            "recommended",
            "proposes",
            "proposed",
            "suggests",
            "suggested",
            "refused",
            "refuses",
            "declined",
        ),
        *("left", "leaves", "escalated", "looked", "checked", "found", "finds", "saw", "sees", "observed", "detected"),
        *("confirmed", "determined", "identified", "concluded", "noticed", "diagnosed", "examined", "inspected"),
        *("reviewed", "evaluated", "took", "takes", "ran", "runs", "walked", "followed", "follows", "acted", "acts"),
        *("never", "not", "only", "needs", "needed", "asks", "asked", "decided", "considered", "waited", "waits"),
        *("stopped", "skipped", "tried", "attempted", "responded", "reported", "kept", "handed", "deferred", "made"),
        *("makes", "intended", "chose"),
    }
)
"""What an agent may be said to do without having changed anything; what it took or made is judged by its object."""
AGENT_CHANGES = frozenset(
    {
        *("changed", "updated", "set", "adjusted", "bumped", "resized", "replaced", "switched", "corrected", "fixed"),
        *("patched", "applied", "executed", "performed", "carried", "sent", "issued", "submitted", "raised"),
        *("increased", "doubled", "cordoned", "uncordoned", "drained", "evicted", "deleted", "reverted", "rolled"),
        *("brought", "moved", "restored"),
    }
)
"""What it does only where it sent something, now or before."""
_DEED_NOUNS = r"rollback|drain|cordon|eviction|deletion|restart|reboot|upgrade|downgrade|scale[- ](?:up|down|out|in)"
_CARRIED_OUT = r"performed|executed|carried out|made|started|triggered|initiated|completed|did|issued"
DEED_NOUN = re.compile(
    rf"(?<!not )(?<!be )\b(?:{_CARRIED_OUT}) (?:a|an|the|another) ({_DEED_NOUNS})\b"
    rf"|\b({_DEED_NOUNS})\b(?: of [^.;,]*?)? (?:was|were|has been|have been|got) (?:{_CARRIED_OUT}|done)\b",
    re.IGNORECASE,
)
"""An action as a noun that somebody carried out."""
DEED_NOUN_WORDS = {
    "rollback": "rollback_deployment",
    "drain": "drain_node",
    "eviction": "drain_node",
    "cordon": "cordon_node",
    "deletion": "delete_pod",
}
DECIDED = re.compile(r"(?<!be )(?<!not )(?<!been )\b(approved|rejected)\b", re.IGNORECASE)
FROM_TO = re.compile(r"\bfrom `?([\d.]+[KMGT]i?)`? to `?([\d.]+[KMGT]i?)\b", re.IGNORECASE)
EXIT_CODE = re.compile(r"\bexit(?:ed with)?(?: the)?(?: exit)? (?:code|status)(?: was| is| of)? (\d+)", re.IGNORECASE)
LOTS = re.compile(r"\b(?:dozens|hundreds|thousands|countless)\b", re.IGNORECASE)
FEWER_THAN_LOTS = 24
ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*|\b(?:[\w-]+\.)+(?:com|net|org|io|dev|app|cloud|example|info|co|ai|xyz|ru|cn|me)\b"
    r"|\b\w+ dot (?:com|net|org|io|dev)\b",
    re.IGNORECASE,
)
"""Where somebody could be sent to."""
