//! The way to a worker: in order, in batches where the peer knows them. Tells what became of each wish.

use tokio::sync::{mpsc, watch};

use super::given::{Given, gather};
use super::{Link, Parcel};
use crate::cluster::Peer;
use crate::http::ClientError;
use crate::manager::decide::{Input, SendOutcome, Wish};
use crate::task::{EventId, State, Task, TaskEvent};

/// Events in a POST: enough to make its cost small beside theirs, few enough for an answer within milliseconds.
const BATCH: usize = 100;

pub(super) async fn run(link: Link, mut outbox: mpsc::Receiver<Parcel>, peer: watch::Receiver<Peer>) {
    let mut parcels = Vec::with_capacity(BATCH);
    let mut wishes = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            () = link.cancel.cancelled() => return,
            received = outbox.recv_many(&mut parcels, BATCH) => received,
        };
        if received == 0 {
            return;
        }
        let mut reading = None;
        for parcel in parcels.drain(..) {
            match parcel {
                Parcel::Wish { wish, task } => wishes.push((wish, task)),
                Parcel::RenewLease { since_boot_ms } => reading = Some(since_boot_ms),
            }
        }
        if let Some(reading) = reading
            && let Err(error) = link.client.renew_lease(reading).await
        {
            // The worker's next reading is renewed in its turn.
            tracing::debug!(%error, worker = %link.worker, "the lease was not renewed");
        }
        let kind = *peer.borrow();
        if !wishes.is_empty() && !deliver(&link, &mut wishes, kind).await {
            return;
        }
    }
}

/// What one wish wants, and of which task.
pub(super) type Wanted = (Wish, Task);

/// False when the driver is gone.
async fn deliver(link: &Link, wishes: &mut Vec<Wanted>, peer: Peer) -> bool {
    while !wishes.is_empty() {
        let (count, given, mut withheld) = gather(link.secrets.as_ref(), peer, wishes);
        let mut sent = Vec::with_capacity(count);
        for (place, wanted) in wishes.drain(..count).enumerate() {
            let Some(outcome) = withheld.remove(&place) else {
                sent.push(wanted);
                continue;
            };
            if !tell(link, wanted, outcome).await {
                return false;
            }
        }
        let outcomes = match peer {
            _ if sent.is_empty() => continue,
            Peer::Book => send_singly(link, &sent).await,
            Peer::Cube | Peer::Unknown => send_batch(link, &sent, &given).await,
        };
        for (wanted, outcome) in sent.into_iter().zip(outcomes) {
            if !tell(link, wanted, outcome).await {
                return false;
            }
        }
    }
    true
}

/// What became of one wish. False when the driver is gone.
async fn tell(link: &Link, (wish, task): Wanted, outcome: SendOutcome) -> bool {
    let (worker, generation) = (link.worker.clone(), task.status.generation);
    link.tell(Input::Sent { worker, task: task.id, generation, wish, outcome }).await
}

async fn send_batch(link: &Link, wishes: &[Wanted], given: &Given) -> Vec<SendOutcome> {
    let events: Vec<TaskEvent> = wishes.iter().map(event).collect();
    match link.client.post_events(&events, given).await {
        Ok(answers) if answers.len() == wishes.len() => answers
            .into_iter()
            .map(|answer| match answer.status {
                200..300 => SendOutcome::Accepted,
                status => outcome(ClientError::Refused { status, message: answer.message }),
            })
            .collect(),
        Ok(answers) => {
            let reason = format!("{} events sent, {} answered", wishes.len(), answers.len());
            vec![SendOutcome::Failed { reason, may_have_arrived: true }; wishes.len()]
        }
        // Not a word about these events: a peer of the book answers here now, and the link is about to learn it.
        Err(ClientError::Refused { status: 404 | 405, message }) => {
            vec![SendOutcome::Failed { reason: message, may_have_arrived: false }; wishes.len()]
        }
        Err(error) => vec![outcome(error); wishes.len()],
    }
}

/// The book's routes take one event each.
async fn send_singly(link: &Link, wishes: &[Wanted]) -> Vec<SendOutcome> {
    let mut outcomes = Vec::with_capacity(wishes.len());
    for wanted in wishes {
        let sent = match wanted.0 {
            Wish::Start => link.client.post_task(&event(wanted)).await,
            Wish::Stop => stop_book_task(link, wanted).await,
        };
        outcomes.push(sent.map_or_else(outcome, |()| SendOutcome::Accepted));
    }
    outcomes
}

/// From chapter 10 on a stop is a DELETE; before, it is an event that wants Completed.
async fn stop_book_task(link: &Link, wanted: &Wanted) -> Result<(), ClientError> {
    match link.client.delete_task(wanted.1.id).await {
        Err(ClientError::Refused { status: 405, .. }) => link.client.post_task(&event(wanted)).await,
        answer => answer,
    }
}

fn event((wish, task): &Wanted) -> TaskEvent {
    let mut task = task.clone();
    let state = match wish {
        // A start says Scheduled in its task: with a 0 there, the book's workers accept and never start it.
        Wish::Start => (State::Running, State::Scheduled),
        Wish::Stop => (State::Completed, State::Completed),
    };
    task.status.state = state.1;
    TaskEvent { id: EventId::random(), state: state.0, timestamp: jiff::Timestamp::now(), task }
}

fn outcome(error: ClientError) -> SendOutcome {
    match error {
        ClientError::Refused { status, message } if status < 500 && status != 429 => {
            SendOutcome::Refused { status, message }
        }
        ClientError::Refused { message, .. } => {
            SendOutcome::Failed { reason: message, may_have_arrived: false }
        }
        ClientError::Unreachable { reason, may_have_arrived } => {
            SendOutcome::Failed { reason, may_have_arrived }
        }
    }
}
