//! Who has a turn, and to do what: waits, the rest after a pause, and what workers
//! are told.

use std::time::Instant;

use super::staff::Staff;
use super::table::Outcome;
use super::waiter::Order;
use crate::cell::coordinator::invalid;
use crate::observation::End;
use crate::sys;

impl Staff {
    /// Lets `workers` wait, those that do not wait already, one after the other:
    /// each is asleep, or back, before the next one begins.
    pub fn give_turns(&mut self, workers: &[usize]) -> Result<(), End> {
        for worker in workers {
            if self.has_ended(*worker) {
                self.give(*worker, Order::Job(self.jobs[*worker]));
                self.settle(false)?;
            }
        }
        Ok(())
    }

    /// The same at once, with SIGUSR1 to each of them until all have come back.
    pub fn give_turns_under_signals(&mut self, workers: &[usize]) -> Result<(), End> {
        for worker in workers.iter().filter(|worker| self.has_ended(**worker)).copied().collect::<Vec<_>>() {
            self.give(worker, Order::Job(self.jobs[worker]));
        }
        let deadline = Instant::now() + self.limit;
        while let Some(waits) = workers.iter().find(|worker| !self.has_ended(**worker)) {
            for worker in workers {
                self.signal(*worker).map_err(|e| invalid(format!("cannot signal worker {worker}: {e}")))?;
            }
            self.patience(*waits, deadline)?;
        }
        self.settle(false)
    }

    /// From now on a worker has another job, which begins.
    pub fn assign(&mut self, worker: usize, job: usize) -> Result<(), End> {
        self.check_free(worker)?;
        self.jobs[worker] = job;
        self.give_turns(&[worker])
    }

    /// Lets paused workers do the rest, one after the other.
    pub fn go_on(&mut self, workers: &[usize], all: bool) -> Result<(), End> {
        for worker in workers {
            let paused = self.has_ended(*worker) && self.ledger.slot(*worker as u32).paused();
            if paused {
                self.give(*worker, Order::GoOn);
                self.settle(false)?;
            } else if !all {
                return Err(invalid(format!("go w{worker}: it has not come to its pause")));
            }
        }
        Ok(())
    }

    /// Has a worker that rests do something that is no wait; what it came to.
    pub fn tell(&mut self, worker: usize, order: Order) -> Result<Outcome, End> {
        self.check_free(worker)?;
        let kept = self.told[worker].unwrap_or_else(|| self.result(worker));
        self.give(worker, order);
        self.told[worker] = Some(kept);
        self.settle(false)?;
        match self.last_turn(worker) {
            Some(outcome) => Ok(outcome),
            None => Err(invalid(format!("w{worker} sleeps in what it was told"))),
        }
    }

    /// Waits until the turn of `worker` ends.
    pub fn wait_for(&mut self, worker: usize) -> Result<(), End> {
        let deadline = Instant::now() + self.limit;
        while !self.has_ended(worker) {
            self.patience(worker, deadline)?;
        }
        Ok(())
    }

    fn patience(&mut self, worker: usize, deadline: Instant) -> Result<(), End> {
        if sys::signal::termination_asked() {
            return Err(End::Interrupted);
        }
        self.crew.check_alive().map_err(invalid)?;
        if Instant::now() > deadline {
            return Err(invalid(format!("w{worker} has not come back after {} ms", self.limit.as_millis())));
        }
        sys::spin::yield_cpu();
        Ok(())
    }

    fn give(&mut self, worker: usize, order: Order) {
        self.given[worker] += 1;
        self.told[worker] = None;
        self.fresh.push(worker);
        self.ledger.slot(worker as u32).give_turns(self.given[worker], order.word());
    }

    fn has_ended(&self, worker: usize) -> bool {
        self.ledger.slot(worker as u32).turns_ended().0 == self.given[worker]
    }

    fn check_free(&self, worker: usize) -> Result<(), End> {
        match self.has_ended(worker) {
            true => Ok(()),
            false => Err(invalid(format!("w{worker} still waits, so it can be told nothing; let it come back first"))),
        }
    }
}
