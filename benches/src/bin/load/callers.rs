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
    pub(crate) record: Rc<RefCell<Record>>,
}

impl Plan {
    pub(crate) fn new(target: &Target, until_gone: bool) -> Self {
        let record = Record::new(target.every, target.target_ms);
        Self {
            address: target.address,
            request: request::bytes(target).into(),
            until_gone,
            record: Rc::new(RefCell::new(record)),
        }
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

/// Requests at their times, on as many connections as it takes, up to a limit; until all are answered.
pub(crate) async fn open(plan: &Plan, arrivals: impl Iterator<Item = Duration>, most: usize) {
    let desk = Rc::new(Desk::default());
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for (number, due) in arrivals.map(|after| begun + after).enumerate() {
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        } else if number % 16 == 0 {
            // Who is late must not keep the callers from their answers.
            tokio::task::yield_now().await;
        }
        desk.waiting.borrow_mut().push_back(due);
        if desk.idle.get() < desk.waiting.borrow().len() && callers.len() < most {
            callers.spawn_local(work(plan.clone(), Rc::clone(&desk)));
        } else {
            desk.arrived.notify_one();
        }
    }
    desk.is_over.set(true);
    desk.arrived.notify_waiters();
    while callers.join_next().await.is_some() {}
}

/// Where requests lie until a caller takes them.
#[derive(Default)]
struct Desk {
    waiting: RefCell<VecDeque<Instant>>,
    idle: Cell<usize>,
    arrived: Notify,
    is_over: Cell<bool>,
}

async fn work(plan: Plan, desk: Rc<Desk>) {
    let mut kept = None;
    loop {
        let due = desk.waiting.borrow_mut().pop_front();
        match due {
            Some(due) => {
                if !plan.ask(&mut kept, due).await {
                    plan.record.borrow_mut().lost(due);
                }
            }
            None if desk.is_over.get() => return,
            None => {
                desk.idle.set(desk.idle.get() + 1);
                desk.arrived.notified().await;
                desk.idle.set(desk.idle.get() - 1);
            }
        }
    }
}
