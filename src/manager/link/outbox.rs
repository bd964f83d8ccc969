//! The way to a worker: in order, in batches where the peer knows them. Tells what became of each wish.

use tokio::sync::{mpsc, watch};

use super::{Link, Parcel};
use crate::cluster::Peer;
use crate::http::ClientError;
use crate::manager::decide::{Input, SendOutcome, Wish};
use crate::task::{EventId, State, TaskEvent};

/// Events in a POST: enough to make its cost small beside theirs, few enough for an answer within milliseconds.
const BATCH: usize = 100;

pub(super) async fn run(link: Link, mut outbox: mpsc::Receiver<Parcel>, peer: watch::Receiver<Peer>) {
    let mut parcels = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            () = link.cancel.cancelled() => return,
            received = outbox.recv_many(&mut parcels, BATCH) => received,
        };
        if received == 0 {
            return;
        }
        let kind = *peer.borrow();
        let outcomes = match kind {
            Peer::Book => send_singly(&link, &parcels).await,
            Peer::Cube | Peer::Unknown => send_batch(&link, &parcels).await,
        };
        for (parcel, outcome) in parcels.drain(..).zip(outcomes) {
            let sent = Input::Sent {
                worker: link.worker.clone(),
                task: parcel.task.id,
                generation: parcel.task.status.generation,
                wish: parcel.wish,
                outcome,
            };
            if !link.tell(sent).await {
                return;
            }
        }
    }
}

async fn send_batch(link: &Link, parcels: &[Parcel]) -> Vec<SendOutcome> {
    let events: Vec<TaskEvent> = parcels.iter().map(event).collect();
    match link.client.post_events(&events).await {
        Ok(answers) if answers.len() == parcels.len() => answers
            .into_iter()
            .map(|answer| match answer.status {
                200..300 => SendOutcome::Accepted,
                status => outcome(ClientError::Refused { status, message: answer.message }),
            })
            .collect(),
        Ok(answers) => {
            let reason = format!("{} events sent, {} answered", parcels.len(), answers.len());
            vec![SendOutcome::Failed { reason, may_have_arrived: true }; parcels.len()]
        }
        // Not a word about these events: a peer of the book answers here now, and the link is about to learn it.
        Err(ClientError::Refused { status: 404 | 405, message }) => {
            vec![SendOutcome::Failed { reason: message, may_have_arrived: false }; parcels.len()]
        }
        Err(error) => vec![outcome(error); parcels.len()],
    }
}

/// The book's routes take one event each.
async fn send_singly(link: &Link, parcels: &[Parcel]) -> Vec<SendOutcome> {
    let mut outcomes = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let sent = match parcel.wish {
            Wish::Start => link.client.post_task(&event(parcel)).await,
            Wish::Stop => stop_book_task(link, parcel).await,
        };
        outcomes.push(sent.map_or_else(outcome, |()| SendOutcome::Accepted));
    }
    outcomes
}

/// From chapter 10 on a stop is a DELETE; before, it is an event that wants Completed.
async fn stop_book_task(link: &Link, parcel: &Parcel) -> Result<(), ClientError> {
    match link.client.delete_task(parcel.task.id).await {
        Err(ClientError::Refused { status: 405, .. }) => link.client.post_task(&event(parcel)).await,
        answer => answer,
    }
}

fn event(parcel: &Parcel) -> TaskEvent {
    let mut task = parcel.task.clone();
    let state = match parcel.wish {
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
