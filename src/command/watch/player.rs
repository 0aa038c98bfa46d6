//! Where the picture stands: which moment of the event is shown, whether time goes on,
//! how fast. Knows no terminal and no clock: it is told how much time has gone by.

use std::time::Duration;

use crate::cli::SPEEDS;
use crate::report::watch::{end_ns, moments};
use crate::scene::Scene;

/// How long an event lasts on the screen at speed 1, however short it was.
const EVENT: f64 = 4.0;
/// How long its end is shown before the next one is made.
const REST: f64 = 1.5;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// On or off.
    Pause,
    /// To the next change of a worker.
    Step,
    Back,
    /// To the end of this event, or all of the next one.
    Event,
    /// The next wait.
    Row,
    Faster,
    Slower,
    Quit,
    /// Ctrl-C.
    Interrupt,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    /// Let the cell make its next event.
    Next,
}

pub struct Player {
    speed: f64,
    paused: bool,
    /// Nanoseconds of the event, with what is between two of them.
    at: f64,
    /// Seconds for which the end was shown.
    rested: f64,
    /// The next event is shown from its end.
    to_end: bool,
    /// An event was asked for and has not come.
    asked: bool,
}

impl Player {
    pub fn new(speed: f64) -> Player {
        Player { speed, paused: false, at: 0.0, rested: 0.0, to_end: false, asked: false }
    }

    /// Another cell begins.
    pub fn restart(&mut self) {
        *self = Player { paused: self.paused, ..Player::new(self.speed) };
    }

    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Waits for the cell.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// Something is to be read before it goes on.
    pub fn halt(&mut self) {
        (self.paused, self.asked) = (true, false);
    }

    pub fn at_ns(&self) -> u64 {
        self.at as u64
    }

    /// Microseconds of the event for each second of the screen.
    pub fn us_per_second(&self, scene: &Scene) -> f64 {
        end_ns(scene) as f64 / 1000.0 * self.speed / EVENT
    }

    /// Whether time goes on in the picture.
    pub fn moves(&self) -> bool {
        !self.paused && !self.asked
    }

    /// A new scene has come.
    pub fn begin(&mut self, scene: &Scene) {
        self.at = if std::mem::take(&mut self.to_end) { end_ns(scene) as f64 } else { 0.0 };
        (self.rested, self.asked) = (0.0, false);
    }

    fn over(&self, scene: Option<&Scene>) -> bool {
        scene.is_none_or(|scene| self.at_ns() >= end_ns(scene))
    }

    /// `scene` is absent before the first event; `ready` says that the cell would make one.
    pub fn tick(&mut self, gone: Duration, scene: Option<&Scene>, ready: bool) -> Wish {
        if !self.moves() {
            return Wish::Nothing;
        }
        let gone = gone.as_secs_f64() * self.speed;
        match scene {
            Some(scene) if !self.over(Some(scene)) => {
                let end = end_ns(scene) as f64;
                self.at = (self.at + gone * end / EVENT).min(end);
                Wish::Nothing
            }
            _ if !ready => Wish::Nothing,
            _ => {
                self.rested += gone;
                if self.rested >= REST { self.ask() } else { Wish::Nothing }
            }
        }
    }

    /// Of keys that are about the picture.
    pub fn press(&mut self, key: Key, scene: Option<&Scene>, ready: bool) -> Wish {
        match key {
            Key::Pause => self.paused = !self.paused,
            Key::Faster => self.speed = (self.speed * 2.0).min(SPEEDS.1),
            Key::Slower => self.speed = (self.speed / 2.0).max(SPEEDS.0),
            Key::Step | Key::Event => {
                self.paused = true;
                match scene.filter(|_| !self.over(scene)) {
                    Some(scene) if key == Key::Event => self.at = end_ns(scene) as f64,
                    Some(scene) => {
                        let now = self.at_ns();
                        let next = moments(scene).into_iter().find(|ns| *ns > now);
                        self.at = next.unwrap_or_else(|| end_ns(scene)) as f64;
                    }
                    None if ready && !self.asked => {
                        self.to_end = key == Key::Event;
                        return self.ask();
                    }
                    None => {}
                }
            }
            Key::Back => {
                self.paused = true;
                if let Some(scene) = scene {
                    let now = self.at_ns();
                    self.at = moments(scene).into_iter().rev().find(|ns| *ns < now).unwrap_or(0) as f64;
                    self.rested = 0.0;
                }
            }
            Key::Row | Key::Quit | Key::Interrupt => {}
        }
        Wish::Nothing
    }

    fn ask(&mut self) -> Wish {
        self.asked = true;
        Wish::Next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Lane, Timeline};

    /// One worker: woken at 100 ns, running at 200, asleep at 1000.
    fn scene() -> Scene {
        let lane = Lane { woken_ns: Some(100), running_ns: Some(200), asleep_ns: Some(1000), ..Lane::default() };
        Scene { timeline: Timeline { quiet_ns: 9000, lanes: vec![lane], ..Timeline::default() }, ..Scene::default() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_event_takes_four_seconds_and_its_end_is_shown_before_the_next() {
        let (scene, mut player) = (scene(), Player::new(1.0));
        assert_eq!(player.tick(SECOND, None, true), Wish::Nothing);
        assert_eq!(player.tick(SECOND, None, true), Wish::Next);
        // Nothing moves until it has come.
        assert_eq!(player.tick(60 * SECOND, None, true), Wish::Nothing);
        player.begin(&scene);
        assert_eq!((player.at_ns(), end_ns(&scene)), (0, 1050));
        player.tick(2 * SECOND, Some(&scene), true);
        assert_eq!(player.at_ns(), 525);
        player.tick(9 * SECOND, Some(&scene), true);
        assert_eq!(player.at_ns(), 1050);
        assert_eq!(player.tick(SECOND, Some(&scene), true), Wish::Nothing);
        assert_eq!(player.tick(SECOND, Some(&scene), true), Wish::Next);
    }

    #[test]
    fn steps_go_from_change_to_change_and_back() {
        let (scene, mut player) = (scene(), Player::new(1.0));
        assert_eq!(player.press(Key::Step, None, true), Wish::Next);
        assert_eq!(player.press(Key::Step, None, true), Wish::Nothing, "asked twice for one event");
        player.begin(&scene);
        let mut seen = Vec::new();
        for _ in 0..4 {
            assert_eq!(player.press(Key::Step, Some(&scene), true), Wish::Nothing);
            seen.push(player.at_ns());
        }
        assert_eq!(seen, [100, 200, 1000, 1050]);
        player.press(Key::Back, Some(&scene), true);
        player.press(Key::Back, Some(&scene), true);
        assert_eq!(player.at_ns(), 200);
        assert!(player.paused());
        player.press(Key::Event, Some(&scene), true);
        assert_eq!(player.at_ns(), 1050);
        // All of the next event at once.
        assert_eq!(player.press(Key::Event, Some(&scene), true), Wish::Next);
        player.begin(&scene);
        assert_eq!(player.at_ns(), 1050);
        // No event is left.
        assert_eq!(player.press(Key::Step, Some(&scene), false), Wish::Nothing);
    }

    #[test]
    fn the_speed_has_limits_and_a_pause_stops_all() {
        let (scene, mut player) = (scene(), Player::new(1.0));
        player.begin(&scene);
        for _ in 0..20 {
            player.press(Key::Faster, Some(&scene), true);
        }
        assert_eq!(player.us_per_second(&scene), 1.05 * 64.0 / 4.0);
        player.press(Key::Pause, Some(&scene), true);
        player.tick(60 * SECOND, Some(&scene), true);
        assert_eq!(player.at_ns(), 0);
        for _ in 0..40 {
            player.press(Key::Slower, Some(&scene), true);
        }
        assert_eq!(player.us_per_second(&scene), 1.05 / 64.0 / 4.0);
    }
}
