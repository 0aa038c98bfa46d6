//! The few marks that our plots are made of, as SVG text.
//!
//! Our own lines and not a library: the back ends of plotters and charming write
//! fixed colours and font sizes into each mark. Ours carry classes, so that one
//! style sheet serves light, dark and print, and hatching can stand beside colour.
//! A page has tens of thousands of marks: those of one look are one element, which a
//! browser lays out at once.

use super::super::matrix::html::escaped;
use crate::analysis::judge::decimals;

/// Width of every drawing in its own units: on a phone one is a little less than a
/// pixel, so that text stays readable there; the page shows none wider than 560.
pub const WIDTH: f64 = 400.0;

/// The class of lines that lie below all else.
pub const GRID: &str = "grid";

/// One drawing while it is made. Marks of one class are one element and lie where the
/// first of them was put; words are on top of all.
pub struct Drawing {
    height: f64,
    title: String,
    /// Class and path, in the order of their first marks.
    paths: Vec<(String, String)>,
    /// Elements of their own: they lie on the grid and below all other paths.
    ground: String,
    /// Anchor and words.
    words: Vec<(String, String)>,
}

impl Drawing {
    /// `title` is what a screen reader says in place of the drawing.
    pub fn new(height: f64, title: impl Into<String>) -> Drawing {
        let (paths, words) = (Vec::new(), Vec::new());
        Drawing { height, title: title.into(), paths, ground: String::new(), words }
    }

    /// `anchor` is start, middle or end.
    pub fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let (x, y) = (number(x), number(y));
        of(&mut self.words, anchor).push_str(&format!("<text x={x} y={y}>{}</text>", escaped(text)));
    }

    /// Those of one class must not overlap.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        if width > 0.0 && height > 0.0 {
            let [x, bottom, width, height] = [x, y + height, width, height].map(number);
            of(&mut self.paths, class).push_str(&format!("M{x} {bottom}v-{height}h{width}v{height}z"));
        }
    }

    /// A rectangle that says something to a pointer that rests on it. Lies on the grid alone.
    pub fn told(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, words: &str) {
        if width > 0.0 && height > 0.0 {
            let ([x, y, width, height], words) = ([x, y, width, height].map(number), escaped(words));
            self.ground.push_str(&format!(
                "<rect x={x} y={y} width={width} height={height} class={class}><title>{words}</title></rect>"
            ));
        }
    }

    /// One field after the other from the left, each in the line that `lines` says. A
    /// dash (style.css) keeps the fields apart; it begins anew with every move.
    pub fn strip(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), lines: &[u32]) {
        let Some(first) = lines.first() else { return };
        let mut fields = format!("M0 {first}");
        let mut line = i64::from(*first);
        for same in lines.chunk_by(|a, b| a == b) {
            let next = i64::from(same[0]);
            if next != line {
                let gap = if next > line { " " } else { "" };
                fields.push_str(&format!("m0{gap}{}", next - line));
            }
            fields.push_str(&format!("h{}", same.len()));
            line = next;
        }
        let [x, y, width, height] = [x, y + height / 2.0, width, height].map(|value| short(value, 3));
        self.ground.push_str(&format!(
            "<path class=strip transform=\"translate({x} {y}) scale({width} {height})\" d=\"{fields}\"/>"
        ));
    }

    /// What is drawn once on the page, under a name; see `named`.
    pub fn shared(&mut self, name: &str) {
        self.ground.push_str(&format!("<use href=\"#{name}\"/>"));
    }

    pub fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        let mut before: Option<[String; 2]> = None;
        for (x, y) in points {
            let here = [number(*x), number(*y)];
            path.push_str(&match &before {
                None => format!("M{} {}", here[0], here[1]),
                Some([_, y]) if *y == here[1] => format!("H{}", here[0]),
                Some([x, _]) if *x == here[0] => format!("V{}", here[1]),
                Some(_) => format!("L{} {}", here[0], here[1]),
            });
            before = Some(here);
        }
        of(&mut self.paths, class).push_str(&path);
    }

    /// A line without length, whose round ends (style.css) are the dot.
    pub fn dot(&mut self, (x, y): (f64, f64), class: &str) {
        of(&mut self.paths, class).push_str(&format!("M{} {}h0", number(x), number(y)));
    }

    /// What is drawn, without the element around it.
    fn marks(&self) -> String {
        let path = |(class, path): &(String, String)| format!("<path class={} d=\"{path}\"/>", quoted(class));
        let (grid, others): (Vec<_>, Vec<_>) = self.paths.iter().partition(|(class, _)| class == GRID);
        let mut text: String = grid.into_iter().map(path).collect();
        text.push_str(&self.ground);
        text.extend(others.into_iter().map(path));
        for (anchor, words) in &self.words {
            text.push_str(&match anchor.as_str() {
                "start" => words.clone(),
                _ => format!("<g class={anchor}>{words}</g>"),
            });
        }
        text
    }

    /// The whole element. Width and height are said, so that nothing moves while
    /// the page is put together.
    pub fn finish(self) -> String {
        let (width, height) = (number(WIDTH), number(self.height));
        format!(
            "<svg role=img viewBox=\"0 0 {width} {height}\" width={width} height={height} aria-label=\"{}\">{}</svg>\n",
            escaped(&self.title),
            self.marks()
        )
    }

    /// The marks alone, for others to use by that name.
    pub fn named(self, name: &str) -> String {
        format!("<g id=\"{name}\">{}</g>\n", self.marks())
    }
}

/// What was put there of that class.
fn of<'a>(all: &'a mut Vec<(String, String)>, class: &str) -> &'a mut String {
    let at = all.iter().position(|(known, _)| known == class).unwrap_or_else(|| {
        all.push((class.to_owned(), String::new()));
        all.len() - 1
    });
    &mut all[at].1
}

/// A value of an attribute; one word needs no quotes.
fn quoted(value: &str) -> String {
    if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() }
}

/// A value's place on an axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    log: bool,
}

impl Scale {
    /// Values `from..to` at `start..end`; logarithmic only of values above zero.
    pub fn new((from, to): (f64, f64), (start, end): (f64, f64), log: bool) -> Scale {
        let to = if to > from { to } else { from + 1.0 };
        Scale { from, to, start, end, log: log && from > 0.0 }
    }

    pub fn at(&self, value: f64) -> f64 {
        let part = match self.log {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        self.start + part * (self.end - self.start)
    }
}

/// Round values from zero to `most`, about five of them.
pub fn ticks(most: f64) -> Vec<f64> {
    let raw = (most / 5.0).max(f64::MIN_POSITIVE);
    let decade = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * decade).find(|step| *step >= raw).unwrap_or(raw);
    (0..=10).map(|n| f64::from(n) * step).filter(|tick| *tick <= most * 1.0001).collect()
}

fn number(value: f64) -> String {
    short(value, 1)
}

/// So many digits behind the point, without the zeros at their end.
fn short(value: f64, digits: usize) -> String {
    let text = decimals(value, digits);
    if text == "-0" { "0".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_meet_their_ends() {
        let linear = Scale::new((0.0, 8.0), (40.0, 400.0), false);
        assert_eq!([linear.at(0.0), linear.at(4.0), linear.at(8.0)], [40.0, 220.0, 400.0]);
        let log = Scale::new((1.0, 256.0), (0.0, 8.0), true);
        assert!((log.at(16.0) - 4.0).abs() < 1e-9);
        // One value alone, and none above zero, are still drawn.
        assert!(Scale::new((3.0, 3.0), (0.0, 1.0), true).at(3.0).is_finite());
        assert!(Scale::new((0.0, 3.0), (0.0, 1.0), true).at(0.0).is_finite());
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(8.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(1.0).len(), 6);
        assert_eq!(ticks(0.0), [0.0]);
    }

    #[test]
    fn marks_are_text_and_their_words_no_markup() {
        let mut drawing = Drawing::new(10.0, "a \"<b>\"");
        drawing.text(1.0, 2.3, "end", "x < y");
        drawing.rect((0.0, 0.0), (0.0, 5.0), "none");
        drawing.rect((1.0, 2.0), (3.0, 4.0), "a");
        drawing.rect((5.0, 2.0), (3.0, 4.5), "a");
        drawing.rect((5.0, 2.0), (3.0, 4.0), "b");
        drawing.strip((30.0, 8.0), (5.5, 10.0), &[0, 2, 2, 1]);
        drawing.dot((1.0, 2.0), "dot");
        drawing.line(&[(0.0, 1.0), (4.0, 1.0), (4.0, 3.0), (5.0, 5.0)], "a");
        let text = drawing.finish();
        let marks = [
            "<path class=strip transform=\"translate(30 13) scale(5.5 10)\" d=\"M0 0h1m0 2h2m0-1h1\"/>",
            "<path class=a d=\"M1 6v-4h3v4zM5 6.5v-4.5h3v4.5zM0 1H4V3L5 5\"/>",
            "<path class=b d=\"M5 6v-4h3v4z\"/>",
            "<path class=dot d=\"M1 2h0\"/>",
            "<g class=end><text x=1 y=2.3>x &lt; y</text></g></svg>",
        ]
        .concat();
        assert!(text.contains(&marks), "{text}");
        assert_eq!(text.matches("<path").count(), 4, "an empty one is drawn: {text}");
        assert!(text.contains("aria-label=\"a &quot;&lt;b&gt;&quot;\"") && text.contains("x &lt; y"));
    }
}
