"""Cross-check: whether a hospital's own privacy account fits what else it remembers.

The account is charged when an update is spent, and a receipt says in which sums it is.
One that lacks a charge would pay for releases twice over; one with a charge of a round
that was never joined is of another directory. Neither comes of a crash, nor of an older
copy, which lacks both: it is damage, and said before anything is dialled (rule 9-5).
"""

from __future__ import annotations

from secagg import errors
from secagg.drivers.silo.store import ClientStore
from secagg.names import PeerId


def check_account(store: ClientStore, me: PeerId) -> None:
    """Compare the charges with the receipts and the joined marks.

    Args:
        store: the hospital's durable memory.
        me: its id.

    Raises:
        StateError: they contradict each other; names the round, and what to do.
    """
    charged = store.past.charged()
    for receipt in store.receipts():
        noisy = receipt.epsilon is not None and me in receipt.u3
        if noisy and (receipt.task_id, receipt.round_no) not in charged:
            raise _damaged(
                store,
                f"has no charge for round {receipt.round_no} of task"
                f" {receipt.task_id}, in whose sum this hospital is by its own receipt",
            )
    for task_id, round_no in sorted(charged):
        joined, _ = store.last_joined(task_id)
        if round_no > joined:
            raise _damaged(
                store,
                f"has a charge for round {round_no} of task {task_id}, and the last"
                f" round that this hospital joined is {joined}",
            )


def _damaged(store: ClientStore, what: str) -> errors.StateError:
    place = "this process's memory" if store.folder is None else str(store.folder)
    return errors.StateError(
        f"the privacy account in {place} is damaged: it {what}. Put the newest whole"
        " copy of the directory back; if there is none, move it away, keep it for its"
        " receipts, and start without it: the charges come back with the chain of"
        " each task, once `secagg accept-loss` has given up what was forgotten"
    )
