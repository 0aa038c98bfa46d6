//! The few marks that our plots are made of, as SVG text.
//!
//! Our own lines and not a library: the back ends of plotters and charming write
//! fixed colours and font sizes into each mark. Ours carry classes, so that one
//! style sheet serves light, dark and print, and hatching can stand beside colour.
//! A page has tens of thousands of marks: those of one look that follow each other are
//! one element, which a browser lays out at once.

use super::super::matrix::html::escaped;
use crate::analysis::judge::decimals;

/// Width of every drawing in its own units: on a phone one is a little less than a
/// pixel, so that text stays readable there; the page shows none wider than 560.
pub const WIDTH: f64 = 400.0;

/// One drawing while it is made.
pub struct Drawing {
    height: f64,
    title: String,
    body: String,
    /// Rectangles of one class that are not in the body yet: the class, and their path.
    rects: (String, String),
}

impl Drawing {
    /// `title` is what a screen reader says in place of the drawing.
    pub fn new(height: f64, title: impl Into<String>) -> Drawing {
        Drawing { height, title: title.into(), body: String::new(), rects: Default::default() }
    }

    /// `anchor` is start, middle or end.
    pub fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let (x, y) = (number(x), number(y));
        let class = if anchor == "start" { String::new() } else { format!(" class=\"{anchor}\"") };
        self.mark(&format!("<text x=\"{x}\" y=\"{y}\"{class}>{}</text>\n", escaped(text)));
    }

    /// Those of one class that follow each other are one element; they must not overlap.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        if width > 0.0 && height > 0.0 {
            if self.rects.0 != class {
                self.mark("");
                class.clone_into(&mut self.rects.0);
            }
            let [x, y, width, height] = [x, y, width, height].map(number);
            self.rects.1.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
        }
    }

    /// A rectangle that says something to a pointer that rests on it.
    pub fn told(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, words: &str) {
        if width > 0.0 && height > 0.0 {
            let ([x, y, width, height], words) = ([x, y, width, height].map(number), escaped(words));
            self.mark(&format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" class=\"{class}\"><title>{words}</title></rect>\n"
            ));
        }
    }

    /// One field after the other from the left, each in the line that `lines` says.
    pub fn strip(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), lines: &[u32]) {
        if lines.is_empty() {
            return;
        }
        let fields: String = lines.iter().enumerate().map(|(at, line)| format!("M{at} {line}h.9")).collect();
        let [x, y, width, height] = [x, y + height / 2.0, width, height].map(|value| short(value, 3));
        self.mark(&format!(
            "<path class=\"strip\" transform=\"translate({x} {y}) scale({width} {height})\" d=\"{fields}\"/>\n"
        ));
    }

    /// Puts a mark on top of all that came before.
    fn mark(&mut self, mark: &str) {
        let (class, path) = std::mem::take(&mut self.rects);
        if !path.is_empty() {
            self.body.push_str(&format!("<path class=\"{class}\" d=\"{path}\"/>\n"));
        }
        self.body.push_str(mark);
    }

    pub fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        self.mark(&format!("<polyline points=\"{}\" class=\"{class}\"/>\n", points.join(" ")));
    }

    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        let [x, y, radius] = [x, y, radius].map(number);
        self.mark(&format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" class=\"{class}\"/>\n"));
    }

    /// The whole element. Width and height are said, so that nothing moves while
    /// the page is put together.
    pub fn finish(mut self) -> String {
        self.mark("");
        let (width, height) = (number(WIDTH), number(self.height));
        format!(
            "<svg role=\"img\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" aria-label=\"{}\">\n{}</svg>\n",
            escaped(&self.title),
            self.body
        )
    }
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
        drawing.text(1.0, 2.25, "end", "x < y");
        drawing.rect((0.0, 0.0), (0.0, 5.0), "none");
        drawing.rect((1.0, 2.0), (3.0, 4.0), "a");
        drawing.rect((5.0, 2.0), (3.0, 4.5), "a");
        drawing.rect((5.0, 2.0), (3.0, 4.0), "b");
        drawing.strip((30.0, 8.0), (5.5, 10.0), &[0, 2]);
        let text = drawing.finish();
        let marks = [
            "<path class=\"a\" d=\"M1 2h3v4h-3zM5 2h3v4.5h-3z\"/>",
            "<path class=\"b\" d=\"M5 2h3v4h-3z\"/>",
            "<path class=\"strip\" transform=\"translate(30 13) scale(5.5 10)\" d=\"M0 0h.9M1 2h.9\"/>",
        ];
        assert!(text.contains(&marks.join("\n")), "{text}");
        assert_eq!(text.matches("<path").count(), 3, "an empty one is drawn: {text}");
        assert!(text.contains("aria-label=\"a &quot;&lt;b&gt;&quot;\"") && text.contains("x &lt; y"));
    }
}
