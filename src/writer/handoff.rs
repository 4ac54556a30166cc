//! From one thread to another, one thing at a time. The giver can see whether it is awaited, so that
//! it need not give before: until then, a batch stays open and takes in what comes.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// The giving end and the taking end.
pub(super) fn handoff<T>() -> (Giver<T>, Taker<T>) {
    let shared = Arc::new(Shared { slot: Mutex::new(Slot::default()), changed: Condvar::new() });
    (Giver(Arc::clone(&shared)), Taker(shared))
}

#[derive(Debug)]
struct Shared<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    is_awaited: bool,
    is_ended: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: None, is_awaited: false, is_ended: false }
    }
}

/// Gives. When it is dropped, the taker gets nothing more.
#[derive(Debug)]
pub(super) struct Giver<T>(Arc<Shared<T>>);

impl<T> Giver<T> {
    /// Whether the taker waits, or is gone: giving takes no time then.
    pub(super) fn is_awaited(&self) -> bool {
        let slot = self.0.slot.lock();
        slot.is_awaited || slot.is_ended
    }

    /// Gives, once the taker waits. Whether the taker is still there.
    pub(super) fn give(&self, value: T) -> bool {
        let mut slot = self.0.slot.lock();
        while !slot.is_awaited && !slot.is_ended {
            self.0.changed.wait(&mut slot);
        }
        if slot.is_ended {
            return false;
        }
        slot.is_awaited = false;
        slot.value = Some(value);
        self.0.changed.notify_all();
        true
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Takes. When it is dropped, the giver gets nothing more in.
#[derive(Debug)]
pub(super) struct Taker<T>(Arc<Shared<T>>);

impl<T> Taker<T> {
    /// What is given next; `None` when the giver is gone. `awaiting` is called once the giver can see
    /// that it is awaited.
    pub(super) fn take(&self, awaiting: impl FnOnce()) -> Option<T> {
        self.0.slot.lock().is_awaited = true;
        self.0.changed.notify_all();
        awaiting();
        let mut slot = self.0.slot.lock();
        loop {
            if let Some(value) = slot.value.take() {
                return Some(value);
            }
            if slot.is_ended {
                return None;
            }
            self.0.changed.wait(&mut slot);
        }
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<T> Shared<T> {
    fn end(&self) {
        self.slot.lock().is_ended = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_given_is_taken_in_order_and_both_ends_see_the_other_go() {
        let (giver, taker) = handoff();
        let sending = std::thread::spawn(move || {
            let all_taken = (0..1000).all(|number| giver.give(number));
            (all_taken, giver)
        });
        let numbers: Vec<i32> = (0..1000).filter_map(|_| taker.take(|| ())).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        let (all_taken, giver) = sending.join().expect("no panic");
        assert!(all_taken);
        assert!(!giver.is_awaited());
        drop(taker);
        assert!(giver.is_awaited() && !giver.give(1));

        let (giver, taker) = handoff::<i32>();
        drop(giver);
        assert_eq!(taker.take(|| ()), None);
    }
}
