"""All entrants, by name, in the order in which they are listed."""

from .bandit import BANDIT
from .base import BASE
from .cosine import COSINE
from .dqn import DQN_RIVAL
from .drift_reset import DRIFT_RESET
from .entrant import Entrant
from .evolved import EVOLVED
from .fixed import FIXED
from .gns_batch import GNS_BATCH
from .greedy_lr import GREEDY_LR
from .hypergradient import HYPERGRADIENT
from .inv_sqrt import INV_SQRT
from .lookahead import LOOKAHEAD
from .never import NEVER
from .one_knob import BATCH_ONLY, LR_ONLY, WINDOW_ONLY
from .pb2 import PB2_RIVAL
from .plateau import PLATEAU
from .policy import DEFAULT, POLICY
from .prodigy import PRODIGY
from .random_actions import RANDOM
from .re_search import RE_SEARCH
from .replay import REPLAY
from .schedule_free import SCHEDULE_FREE
from .search_hindsight import SEARCH_HINDSIGHT
from .segment_best import SEGMENT_BEST
from .shuffled import SHUFFLED
from .skip_cost_aware import SKIP_COST_AWARE
from .skip_detector import SKIP_DETECTOR
from .skip_periodic import SKIP_PERIODIC
from .skip_random import SKIP_RANDOM
from .unpriced import UNPRICED
from .untrained import UNTRAINED
from .vadam import VADAM
from .vadam_policy import VADAM_POLICY
from .von import VON_RIVAL
from .wsd import WSD_RIVAL

ENTRANTS: dict[str, Entrant] = {
    entrant.name: entrant
    for entrant in (
        NEVER,
        BASE,
        FIXED,
        HYPERGRADIENT,
        DRIFT_RESET,
        INV_SQRT,
        COSINE,
        WSD_RIVAL,
        PLATEAU,
        GREEDY_LR,
        SCHEDULE_FREE,
        PRODIGY,
        VON_RIVAL,
        VADAM,
        GNS_BATCH,
        BANDIT,
        LOOKAHEAD,
        PB2_RIVAL,
        RE_SEARCH,
        EVOLVED,
        DQN_RIVAL,
        SKIP_PERIODIC,
        SKIP_RANDOM,
        SKIP_DETECTOR,
        SKIP_COST_AWARE,
        SEARCH_HINDSIGHT,
        SEGMENT_BEST,
        POLICY,
        DEFAULT,
        VADAM_POLICY,
        UNTRAINED,
        RANDOM,
        REPLAY,
        SHUFFLED,
        LR_ONLY,
        WINDOW_ONLY,
        BATCH_ONLY,
        UNPRICED,
    )
}


def tunable() -> list[str]:
    """Names of the entrants that have something to tune, the constant first: others start from it."""
    names = [name for name, entrant in ENTRANTS.items() if entrant.search(seed=0) is not None]
    return sorted(names, key=lambda name: name != "fixed")
