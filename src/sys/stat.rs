//! The line of /proc/PID/stat and /proc/PID/task/TID/stat, proc_pid_stat(5). The name in
//! it may hold anything, spaces and brackets too: it ends at the last bracket.

/// The state letter.
pub fn state(stat: &str) -> Option<char> {
    behind_name(stat)?.chars().next()
}

/// Field `number`, counted from 1 as the manual does; those from 3 on.
pub fn field<T: std::str::FromStr>(stat: &str, number: usize) -> Option<T> {
    behind_name(stat)?.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// The command's name, as far as the kernel keeps it.
pub fn name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(')')?.0.split_once('(')?.1)
}

fn behind_name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(')')?.1.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbered_as_in_the_manual() {
        let stat = "12 (a) b) S 7 12 12 0 -1 4194560 101 102 103 104 5 6 7 8 20 0 3 0 99\n";
        assert_eq!([4, 10, 20].map(|number| field(stat, number)), [Some(7), Some(101), Some(3)]);
        assert_eq!(field::<u64>("", 4), None);
    }

    #[test]
    fn a_name_may_hold_brackets_and_letters() {
        let stat = "12 (a) Z (b) S 7 9 9 0 -1 4194560 101 0\n";
        assert_eq!((state(stat), name(stat)), (Some('S'), Some("a) Z (b")));
        assert_eq!((field(stat, 4), field::<u64>(stat, 9)), (Some(7), Some(4_194_560)));
        assert_eq!((field::<u64>(stat, 2), field::<u64>(stat, 40)), (None, None));
        for cut in ["", "12", "12 (herd)", "12 (herd"] {
            assert_eq!(state(cut), None, "{cut:?}");
        }
    }
}
