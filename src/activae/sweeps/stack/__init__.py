"""Many runs of one shape trained in lockstep as one: the engine for GPUs.

Every step is taken for all members at once: the parameters of K networks are one tensor [K, P],
the objective that a plain run minimises is called through torch.func.vmap, and whatever
differs from member to member (learning rate, schedule, weight decay, penalties) is a number for
each. A member leaves the folder that a plain run of its config leaves.
"""

from activae.config.identity import stack_key
from activae.sweeps.stack.eligibility import why_not_stackable
from activae.sweeps.stack.memory import members_that_fit, memory_per_member
from activae.sweeps.stack.training import Outcome, train_stack

__all__ = [
    "Outcome",
    "members_that_fit",
    "memory_per_member",
    "stack_key",
    "train_stack",
    "why_not_stackable",
]
