//! Questions: what may be answered, and how near an answer is to what was measured.

use serde::Deserialize;

use super::{Figure, Truth};

/// What a student predicts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The key of its texts.
    pub id: String,
    pub figure: Figure,
    /// The choices, in order; a number is asked for where there are none.
    #[serde(default)]
    pub choice: Vec<Choice>,
    /// A number is near if it is at most this far away.
    #[serde(default)]
    pub within: f64,
    /// Or if neither is more than so many times the other.
    #[serde(default)]
    pub factor: f64,
    /// Numbers that make sense.
    #[serde(default)]
    pub least: f64,
    #[serde(default = "most")]
    pub most: f64,
}

fn most() -> f64 {
    1e9
}

/// One of several answers, and when it is the right one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The key of its text.
    pub id: String,
    /// Right if the figure is a number up to this, and no earlier choice is.
    pub up_to: Option<f64>,
    /// Right if the figure is one of these words: a row, or what came of a step.
    #[serde(default)]
    pub is: Vec<String>,
}

/// A prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Number(f64),
    /// Its place among the choices.
    Choice(usize),
}

/// Why what was typed is no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    /// A number within these bounds is.
    Number { least: f64, most: f64 },
    /// One of so many letters is.
    Letter { last: char },
}

/// How a prediction compares with what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Near {
    Right,
    /// So many times too much, or too little if below 1.
    Times(f64),
    /// So much too much, or too little if below 0, where one of both is 0.
    By(f64),
    Other,
    Unknown,
}

/// The letter of a choice.
pub fn letter(place: usize) -> char {
    char::from(b'a' + u8::try_from(place).unwrap_or(25).min(25))
}

impl Question {
    /// Reads what was typed. A number may have a sign, a point or a comma for
    /// thousands, and a unit behind it is not looked at.
    pub fn answer(&self, typed: &str) -> Result<Answer, Wrong> {
        let typed = typed.trim().to_lowercase();
        if !self.choice.is_empty() {
            let last = letter(self.choice.len() - 1);
            let wanted = typed.trim_end_matches([')', '.']);
            let mut letters = wanted.chars();
            let place = match (letters.next(), letters.next()) {
                (Some(c), None) => (0..self.choice.len()).find(|place| letter(*place) == c),
                _ => None,
            };
            let by_id = || self.choice.iter().position(|choice| choice.id == wanted);
            return place.or_else(by_id).map(Answer::Choice).ok_or(Wrong::Letter { last });
        }
        let wrong = Wrong::Number { least: self.least, most: self.most };
        let digits = |c: char| !(c.is_ascii_digit() || ".,-+e_".contains(c));
        let number = typed.split(digits).next().unwrap_or("").trim_end_matches('e').replace([',', '_'], "");
        let rest = typed.trim_start_matches(|c: char| !digits(c)).trim();
        // A unit is a word or a sign, not another number.
        let is_unit = rest.len() <= 16 && !rest.chars().any(|c| c.is_ascii_digit());
        match number.parse::<f64>() {
            Ok(found) if found.is_finite() && is_unit && (self.least..=self.most).contains(&found) => {
                Ok(Answer::Number(found))
            }
            _ => Err(wrong),
        }
    }

    /// The choice that is right.
    pub fn right(&self, truth: &Truth) -> Option<usize> {
        self.choice.iter().position(|choice| match truth {
            Truth::Number(value) => {
                choice.up_to.is_some_and(|bound| *value <= bound)
                    || choice.is.iter().any(|word| word.parse() == Ok(*value))
            }
            Truth::Word(word) => choice.is.contains(word),
            Truth::Unknown(_) => false,
        })
    }

    /// Compares a prediction with what was measured.
    pub fn near(&self, answer: Answer, truth: &Truth) -> Near {
        match (answer, truth) {
            (_, Truth::Unknown(_)) => Near::Unknown,
            (Answer::Choice(place), truth) => match self.right(truth) {
                Some(right) if right == place => Near::Right,
                Some(_) => Near::Other,
                None => Near::Unknown,
            },
            (Answer::Number(said), Truth::Number(is)) => {
                let times = said / is;
                let close = self.factor > 0.0 && times <= self.factor && times >= 1.0 / self.factor;
                if (said - is).abs() <= self.within + 1e-9 || close {
                    Near::Right
                } else if said > 0.0 && *is > 0.0 {
                    Near::Times(times)
                } else {
                    Near::By(said - is)
                }
            }
            (Answer::Number(_), Truth::Word(_)) => Near::Unknown,
        }
    }
}
