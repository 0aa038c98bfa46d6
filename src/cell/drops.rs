//! What the kernel counts of connections and datagrams that it drops, in the network
//! that this process is in. Shared by all its sockets, so shown and never judged
//! unless the network is the cell's own.

use std::collections::BTreeMap;

/// File, prefix of the line, counters.
const WATCHED: &[(&str, &str, &[&str])] = &[
    (
        "/proc/net/netstat",
        "TcpExt:",
        &[
            "ListenOverflows",
            "ListenDrops",
            "TCPReqQFullDrop",
            "TCPReqQFullDoCookies",
            "TCPMigrateReqSuccess",
            "TCPMigrateReqFailure",
        ],
    ),
    ("/proc/net/snmp", "Udp:", &["RcvbufErrors", "NoPorts"]),
];

/// The counters at one moment.
pub struct Drops(BTreeMap<String, u64>);

impl Drops {
    /// What there is now; a counter that this kernel has not is left out.
    pub fn read() -> Drops {
        let mut found = BTreeMap::new();
        for (file, prefix, names) in WATCHED {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            found.extend(counters(&text, prefix).into_iter().filter(|(name, _)| names.contains(&name.as_str())));
        }
        Drops(found)
    }

    /// By how much they have risen since; those that have not are left out.
    pub fn risen(&self) -> BTreeMap<String, u64> {
        let now = Drops::read().0.into_iter();
        let rise = |(name, count): (String, u64)| {
            let before = self.0.get(&name).copied().unwrap_or(0);
            (count > before).then(|| (name, count - before))
        };
        now.filter_map(rise).collect()
    }
}

/// Both lines that begin with `prefix`: names, then numbers.
fn counters(text: &str, prefix: &str) -> BTreeMap<String, u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
        return BTreeMap::new();
    };
    let numbers = numbers.split_whitespace().map(|number| number.parse().unwrap_or(0));
    names.split_whitespace().map(str::to_owned).zip(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_stand_in_two_lines() {
        let text = "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 3 17\nIpExt: InNoRoutes\nIpExt: 5\n";
        let found = counters(text, "TcpExt:");
        assert_eq!(found.get("ListenOverflows"), Some(&17));
        assert_eq!(found.len(), 2);
        assert!(counters(text, "Udp:").is_empty());
    }
}
