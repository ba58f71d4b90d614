//! Clients that misbehave, all at once, for some time: slow ones, silent ones, and ones that close their sending side. It does not
//! know how others fare meanwhile.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Nuisance, connection::Connection, request};

/// A half-closed client rests so long between two requests.
const REST: Duration = Duration::from_millis(200);

/// What became of them.
#[derive(Default)]
struct Tally {
    connected: u64,
    refused: u64,
    bytes: u64,
}

type Shared = Rc<RefCell<Tally>>;

pub(crate) async fn run(nuisance: &Nuisance) -> Value {
    let end = Instant::now() + Duration::from_secs_f64(nuisance.seconds);
    let request: Rc<[u8]> = request::bytes(&nuisance.target).into();
    let address = nuisance.target.address;
    let tally = Shared::default();
    let connect = move |tally: Shared| async move {
        let connection = Connection::open(address).await;
        let mut tally = tally.borrow_mut();
        match connection {
            Ok(connection) => {
                tally.connected += 1;
                Some(connection)
            }
            Err(_) => {
                tally.refused += 1;
                None
            }
        }
    };
    let mut clients = JoinSet::new();
    for _ in 0..nuisance.slow {
        let (request, tally) = (Rc::clone(&request), Rc::clone(&tally));
        clients.spawn_local(async move {
            loop {
                if let Some(connection) = connect(Rc::clone(&tally)).await {
                    drip(connection, &request, &tally).await;
                }
                tokio::time::sleep(REST).await;
            }
        });
    }
    for _ in 0..nuisance.idle {
        let tally = Rc::clone(&tally);
        clients.spawn_local(async move {
            loop {
                if let Some(mut connection) = connect(Rc::clone(&tally)).await {
                    connection.closed().await;
                }
                tokio::time::sleep(REST).await;
            }
        });
    }
    for _ in 0..nuisance.half_closed {
        let (request, tally) = (Rc::clone(&request), Rc::clone(&tally));
        clients.spawn_local(async move {
            loop {
                if let Some(mut connection) = connect(Rc::clone(&tally)).await {
                    // To a server that is who has gone: it may answer, or not.
                    let _ = connection.ask_last(&request).await;
                }
                tokio::time::sleep(REST).await;
            }
        });
    }
    tokio::time::sleep_until(end.into()).await;
    drop(clients);
    let Tally { connected, refused, bytes } = tally.take();
    json!({ "connected": connected, "refused": refused, "bytes": bytes })
}

/// The head at once, then a byte of the body a second, until the server has enough of it.
async fn drip(mut connection: Connection, request: &[u8], tally: &Shared) {
    let body = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |end| end + 4);
    if connection.send(&request[..body]).await.is_err() {
        return;
    }
    for byte in &request[body..] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if connection.send(&[*byte]).await.is_err() {
            return;
        }
        tally.borrow_mut().bytes += 1;
    }
}
