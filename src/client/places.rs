//! Clients that are under way, each in a place of its own, and when each gives up.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

struct Place<T> {
    client: T,
    /// Tells its wait from others that began in this place.
    serial: u64,
}

/// All wait equally long, so that deadlines are in order.
pub struct Places<T> {
    all: Vec<Option<Place<T>>>,
    free: Vec<usize>,
    /// When who gives up: place and serial.
    deadlines: VecDeque<(u64, usize, u64)>,
    serial: u64,
    /// Nobody waits beyond this.
    last: u64,
}

impl<T> Default for Places<T> {
    fn default() -> Places<T> {
        Places { all: Vec::new(), free: Vec::new(), deadlines: VecDeque::new(), serial: 0, last: u64::MAX }
    }
}

impl<T> Places<T> {
    /// How many are taken.
    pub fn taken(&self) -> u64 {
        (self.all.len() - self.free.len()) as u64
    }

    /// The place that the next one gets.
    pub fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.all.len())
    }

    /// Puts one there; it gives up at `deadline`.
    pub fn put(&mut self, client: T, deadline: u64) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() - 1
        });
        self.all[place] = Some(Place { client, serial: self.serial });
        self.begin(place, deadline);
        place
    }

    /// The one in this place begins to wait once more, until `deadline`.
    pub fn begin(&mut self, place: usize, deadline: u64) {
        self.serial += 1;
        let deadline = deadline.min(self.last);
        if let Some(taken) = &mut self.all[place] {
            taken.serial = self.serial;
            debug_assert!(self.deadlines.back().is_none_or(|last| last.0 <= deadline), "deadlines are in order");
            self.deadlines.push_back((deadline, place, self.serial));
        }
    }

    /// The one in this place waits for nothing now, and stays.
    pub fn rest(&mut self, place: usize) {
        self.serial += 1;
        if let Some(taken) = &mut self.all[place] {
            taken.serial = self.serial;
        }
    }

    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.all[place].as_mut().map(|taken| &mut taken.client)
    }

    /// The one in this place leaves.
    pub fn take(&mut self, place: usize) -> Option<T> {
        let taken = self.all[place].take()?;
        self.free.push(place);
        Some(taken.client)
    }

    /// Takes the next one whose patience is over.
    pub fn expired(&mut self, now: u64) -> Option<(usize, T)> {
        loop {
            let (deadline, place, serial) = *self.deadlines.front()?;
            let waits = self.all[place].as_ref().is_some_and(|taken| taken.serial == serial);
            if waits && deadline > now {
                return None;
            }
            // Those that have ended are let go at once: their number must not grow with
            // the length of the run.
            self.deadlines.pop_front();
            if waits {
                return self.take(place).map(|client| (place, client));
            }
        }
    }

    /// When the first one gives up; never, if nobody waits.
    pub fn deadline(&self) -> u64 {
        self.deadlines.front().map_or(u64::MAX, |due| due.0)
    }

    /// Everybody gives up at `last` at the latest, who begins to wait later as well.
    pub fn hurry(&mut self, last: u64) {
        self.last = last;
        self.deadlines.iter_mut().for_each(|due| due.0 = due.0.min(last));
    }
}

impl<T> Index<usize> for Places<T> {
    type Output = T;

    /// # Panics
    /// If the place is free.
    fn index(&self, place: usize) -> &T {
        &self.all[place].as_ref().expect("the place is taken").client
    }
}

impl<T> IndexMut<usize> for Places<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.get_mut(place).expect("the place is taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_over_in_order_and_only_for_those_who_still_wait() {
        let mut places = Places::default();
        let (a, b) = (places.put('a', 10), places.put('b', 20));
        assert_eq!((places.taken(), places.expired(9)), (2, None));
        assert_eq!(places.expired(10), Some((a, 'a')));
        // The same place again: the old deadline is not the new client's.
        assert_eq!(places.next(), a);
        assert_eq!(places.put('c', 30), a);
        places.begin(b, 40);
        assert_eq!(places.expired(39), Some((a, 'c')));
        assert_eq!(places.expired(39), None);
        places.rest(b);
        assert_eq!((places.expired(u64::MAX), places.deadline()), (None, u64::MAX));
        assert_eq!(places.take(b), Some('b'));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn all_can_be_told_to_hurry() {
        let mut places = Places::default();
        places.put('a', 1000);
        places.hurry(50);
        assert_eq!(places.expired(50), Some((0, 'a')));
        // Who asks once more after that has no fresh patience.
        let place = places.put('b', 1040);
        places.begin(place, 1045);
        assert_eq!((places.expired(49), places.deadline()), (None, 50));
        assert_eq!(places.expired(50), Some((place, 'b')));
    }
}
