//! Those who ask: in a closed loop, each anew once it is answered, or at times that are given. It does not know what is asked.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    Target,
    connection::Connection,
    process::Found,
    record::{Outcome, Record},
    request,
};

/// An answer that takes longer is lost.
const LONGEST: Duration = Duration::from_secs(30);
/// After so long, who could not reach the server tries again.
const AGAIN: Duration = Duration::from_millis(5);

/// What all callers share.
#[derive(Clone)]
pub(crate) struct Plan {
    address: SocketAddr,
    request: Rc<[u8]>,
    until_gone: bool,
    every: f64,
    target_ms: f64,
    record: Rc<RefCell<Record>>,
}

impl Plan {
    pub(crate) fn new(target: &Target, until_gone: bool) -> Self {
        let &Target { address, every, target_ms, .. } = target;
        let record = Record::new(every, target_ms);
        Self {
            address,
            every,
            target_ms,
            request: request::bytes(target).into(),
            until_gone,
            record: Rc::new(RefCell::new(record)),
        }
    }

    /// From now on it counts.
    pub(crate) fn begin(&self) {
        *self.record.borrow_mut() = Record::new(self.every, self.target_ms);
    }

    /// What became of all requests, with what was found of the server.
    pub(crate) fn line(&self, found: &Found) -> Value {
        let mut line = self.record.borrow_mut().json();
        found.add_to(&mut line);
        line
    }

    /// One request on a connection that is kept, or on a new one. False where the server cannot be reached.
    async fn ask(&self, kept: &mut Option<Connection>, due: Instant) -> bool {
        let is_new = kept.is_none();
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(self.address).await {
                Ok(connection) => connection,
                Err(_) => {
                    self.record.borrow_mut().unreachable();
                    return false;
                }
            },
        };
        let sent = Instant::now();
        let answer = tokio::time::timeout(LONGEST, connection.ask(&self.request)).await;
        let mut record = self.record.borrow_mut();
        match answer {
            Ok(Ok(answer)) => {
                let body = connection.body(&answer);
                record.answered(Outcome { due, sent, status: answer.status, body });
                if !answer.is_last {
                    *kept = Some(connection);
                }
            }
            // In time, without a word, on a connection on which nobody had said anything yet: it was never taken.
            Ok(Err(_)) if is_new && !connection.has_begun() => record.turned_away(),
            _ => record.lost(due),
        }
        true
    }
}

/// So many callers for so long; they begin at once.
pub(crate) fn closed(plan: &Plan, connections: usize, time: Duration) -> impl Future<Output = ()> + use<> {
    let end = Instant::now() + time;
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let plan = plan.clone();
        callers.spawn_local(async move {
            let mut kept = None;
            while Instant::now() < end {
                if !plan.ask(&mut kept, Instant::now()).await {
                    if plan.until_gone {
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        });
    }
    async move { while callers.join_next().await.is_some() {} }
}

/// Callers with a connection each, who wait for requests to send. They connect one after the other: many at once would wait for
/// the system, not for the server.
pub(crate) async fn connect(plan: &Plan, connections: usize) -> (Rc<Desk>, JoinSet<()>) {
    let desk = Rc::new(Desk::default());
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let kept = Connection::open(plan.address).await.ok();
        callers.spawn_local(work(plan.clone(), Rc::clone(&desk), kept));
    }
    (desk, callers)
}

/// Requests at their times, until all are answered. What comes while all connections are busy waits here.
pub(crate) async fn send(desk: &Desk, mut callers: JoinSet<()>, arrivals: impl Iterator<Item = Duration>) {
    let begun = Instant::now();
    for (number, due) in arrivals.map(|after| begun + after).enumerate() {
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        } else if number % 16 == 0 {
            // Who is late must not keep the callers from their answers.
            tokio::task::yield_now().await;
        }
        desk.waiting.borrow_mut().push_back(due);
        desk.arrived.notify_one();
    }
    desk.is_over.set(true);
    desk.arrived.notify_waiters();
    while callers.join_next().await.is_some() {}
}

/// Where requests lie until a caller takes them.
#[derive(Default)]
pub(crate) struct Desk {
    waiting: RefCell<VecDeque<Instant>>,
    arrived: Notify,
    is_over: Cell<bool>,
}

async fn work(plan: Plan, desk: Rc<Desk>, mut kept: Option<Connection>) {
    loop {
        let due = desk.waiting.borrow_mut().pop_front();
        match due {
            Some(due) => {
                if !plan.ask(&mut kept, due).await {
                    plan.record.borrow_mut().lost(due);
                }
            }
            None if desk.is_over.get() => return,
            None => desk.arrived.notified().await,
        }
    }
}
