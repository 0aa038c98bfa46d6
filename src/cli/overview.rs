//! What `herd --help` says: one screen, in the order in which one would need it. A
//! command's own `--help` has the rest.

/// At most 24 lines of 80 columns; a test holds it against the commands.
pub const OVERVIEW: &str = "\
See the thundering herd, and the kernel's fix, counted exactly.

Usage: herd [COMMAND]        without a command: the headline, as `herd run herd`

Begin here
  learn                      lessons: predict, run it here, understand why
  run [NAME or FILE]...      run experiments and show what they saw
  explain NAME or WORD       an experiment's lesson; what a word, a metric means
  list                       the experiments; --words, --metrics, --settings ..
  watch NAME, timeline NAME  one event after the other, slowed down; one, drawn
This machine, your server
  doctor                     what it can do and measure, what would disturb
  advise                     which accept strategy suits it, under your load
  attach --pid P, load URL   a running server: who wakes; our clients against it
  check [NAME]...            every expectation as a test point, for CI
Stored results (herd run --output DIR)
  show, merge                one in any format; the parts of one put together
  report FILE...             as one web page, to show or to hand in
  compare, matrix            two of them; many kernels in one table
Other kernels
  vm, bisect-script          run the same in QEMU guests; for `git bisect run`

Options of `herd run` work without a command, too. -V prints the version.
`herd COMMAND --help` has all options and examples; man pages: `make install`.
";
