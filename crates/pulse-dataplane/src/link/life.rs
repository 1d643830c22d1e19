//! One link while it is up: messages both ways, probes, the end of its certificate, and its own end.
//!
//! Invariant: whatever happens in here, a panic too, ends this link only and is told by one `LinkDown`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Desk;
use super::carrier::{Close, Reader, Writer, explain_failure};
use super::meeting::Halves;
use super::registry::Live;
use crate::event::{Event, Level};
use crate::hello::{read_message, write_message};
use crate::probe;

/// Between looks at the clock: how late a clock that was put right may end a link.
const CLOCK_LOOK: Duration = Duration::from_secs(10);
/// How long the closing words may come after the end of the control stream.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Run the link in a task of its own.
pub(crate) fn start(desk: &Arc<Desk>, live: Arc<Live>, halves: Halves) {
    let running = tokio::spawn(run(Arc::clone(desk), Arc::clone(&live), halves));
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        let reason = running.await.unwrap_or_else(|error| {
            desk.shared.bus.log(Level::Error, format!("a link broke down, this is a fault of pulse: {error}"));
            "it broke down".to_owned()
        });
        desk.ended(&live, reason);
    });
}

async fn run(desk: Arc<Desk>, live: Arc<Live>, halves: Halves) -> String {
    let Halves { reader, writer, queue } = halves;
    let suspected = |suspect| {
        let (link, node) = (live.link.index, live.link.node);
        desk.shared.bus.emit(Event::LinkSuspect { link, node, suspect });
        (desk.rerouted)();
    };
    tokio::select! {
        biased;
        ended = live.carrier.ended() => ended.text,
        reason = hear(&desk, &live, reader) => reason,
        reason = say(&live, writer, queue) => reason,
        reason = probe::watch(&desk.shared, &live.link, suspected) => reason.to_owned(),
        () = expiry(&desk, &live) => "its certificate has expired".to_owned(),
    }
}

/// Messages of the peer; while Python has not drained the last ones, the stream is left unread.
async fn hear(desk: &Desk, live: &Live, mut reader: Reader) -> String {
    loop {
        match read_message(&mut reader).await {
            Ok(Some(payload)) => {
                if let Ok(place) = live.undrained.acquire().await {
                    place.forget();
                }
                desk.shared.bus.emit(Event::Message { link: live.link.index, payload });
            }
            Ok(None) => {
                // The stream ends a packet before the connection does, whose closing words say why.
                tokio::time::sleep(LAST_WORDS).await;
                return "the peer ended its control stream".to_owned();
            }
            Err(error) => return explain_failure(&*live.carrier, &error).await.text,
        }
    }
}

async fn say(live: &Live, mut writer: Writer, mut queue: mpsc::Receiver<Vec<u8>>) -> String {
    while let Some(message) = queue.recv().await {
        if let Err(error) = write_message(&mut writer, &message).await {
            return explain_failure(&*live.carrier, &error).await.text;
        }
    }
    "closed by us".to_owned()
}

/// Looks at the clock now and then rather than set one timer: the clock may be put right meanwhile.
async fn expiry(desk: &Desk, live: &Live) {
    while let Some(left) = live.certified.not_after.checked_sub(desk.settings.now()) {
        tokio::time::sleep(CLOCK_LOOK.min(Duration::from_secs(left + 1))).await;
    }
}

impl Desk {
    /// A link is over: out of all tables, and told.
    fn ended(&self, live: &Live, reason: String) {
        self.registry.forget(live);
        self.remove_from_tables(&live.link);
        let reason = live.decided().unwrap_or(reason);
        live.carrier.close(Close::Leaving, &reason);
        self.shared.bus.emit(Event::LinkDown { link: live.link.index, node: live.link.node, reason });
    }
}
