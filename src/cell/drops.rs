//! What the kernel counts of connections and datagrams that it drops, in the network
//! that this process is in. Shared by all its sockets, so shown and never judged
//! unless the network is the cell's own.

use std::collections::BTreeMap;

/// File and counters; of those that stand in it twice the first is UDP's.
const WATCHED: &[(&str, &[&str])] = &[
    (
        "/proc/net/netstat",
        &[
            "ListenOverflows",
            "ListenDrops",
            "TCPReqQFullDrop",
            "TCPReqQFullDoCookies",
            "TCPMigrateReqSuccess",
            "TCPMigrateReqFailure",
        ],
    ),
    ("/proc/net/snmp", &["RcvbufErrors", "NoPorts"]),
];

/// The counters at one moment.
pub struct Drops(BTreeMap<String, u64>);

impl Drops {
    /// What there is now; a counter that this kernel has not is left out.
    pub fn read() -> Drops {
        let mut found = BTreeMap::new();
        for (file, names) in WATCHED {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            found.extend(names.iter().filter_map(|name| Some(((*name).to_owned(), counter(&text, name)?))));
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

/// One counter of such a file. Two lines belong together: names, and behind them the
/// numbers.
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let at = pair[0].split_whitespace().position(|known| known == name)?;
        pair[1].split_whitespace().nth(at)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_stand_in_two_lines() {
        let text = "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 3 17\nIpExt: InNoRoutes\nIpExt: 5\n";
        assert_eq!(counter(text, "ListenOverflows"), Some(17));
        assert_eq!(counter(text, "InNoRoutes"), Some(5));
        assert_eq!(counter(text, "Other"), None);
    }
}
