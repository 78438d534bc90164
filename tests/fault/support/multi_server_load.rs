//! Load on several servers that come and go.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Client;
use super::load::{Kind, Over, Progress, Shot, fire};

/// The address of one of several servers; none while it is down.
#[derive(Debug, Default)]
pub(crate) struct Place {
    address: Mutex<Option<SocketAddr>>,
    successes: AtomicUsize,
}

impl Place {
    pub(crate) fn set(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the successful requests of this place.
    pub(crate) fn successes(&self) -> usize {
        self.successes.load(Ordering::Relaxed)
    }
}

/// Runs `body` while so many clients at each of the places send one request after the other, as in [`load_while`]. A
/// client whose connection breaks goes on with the next server at its place.
pub(crate) fn load_everywhere_while<T>(
    places: &[Place],
    clients: usize,
    name: &str,
    body: impl FnOnce() -> T,
) -> (Vec<Shot>, T) {
    let progress = Progress::default();
    let seen = &progress;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..places.len() * clients)
            .map(|number| {
                let place = &places[number % places.len()];
                scope.spawn(move || one_faithful_client(place, &format!("{name}-{number}"), seen))
            })
            .collect();
        let over = Over(&progress);
        let done = body();
        drop(over);
        (clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect(), done)
    })
}

fn one_faithful_client(place: &Place, name: &str, progress: &Progress) -> Vec<Shot> {
    let mut shots = Vec::new();
    let mut client = None;
    while !progress.is_over.load(Ordering::Relaxed) {
        let Some(connected) = &mut client else {
            client = place.address().map(Client::new);
            if client.is_none() {
                thread::sleep(Duration::from_millis(2));
            }
            continue;
        };
        let kind = if fastrand::bool() { Kind::Upload } else { Kind::Admin };
        let shot = fire(connected, kind, format!("{name}-{}", shots.len()));
        if shot.is_success() {
            place.successes.fetch_add(1, Ordering::Relaxed);
        }
        if shot.answer.is_none() {
            client = None;
        }
        shots.push(shot);
    }
    shots
}
