//! What a cell may change of the network that is its own; the setting `sysctls` and the
//! statement `sysctl` ask the same rule.

/// Whether `name` is spelled like a setting of a network, below /proc/sys/net: words of
/// letters, digits, `_` and `-` with dots between them. A dash is in real names, such as
/// net.bridge.bridge-nf-call-iptables; a slash or an empty word would lead elsewhere.
pub fn is_setting(name: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    name.strip_prefix("net.").is_some_and(|rest| rest.split('.').all(plain))
}

/// What to say of a name that is none.
pub fn no_setting(name: &str) -> String {
    format!("{name:?} is no setting of a network; names begin with net., such as net.ipv4.tcp_syncookies")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Script, Settings, keys};

    /// Both ways to name one say the same.
    #[track_caller]
    fn check(name: &str, good: bool) {
        assert_eq!(is_setting(name), good, "{name}");
        let list = toml::Value::Array(vec![format!("{name}=1").into()]);
        let by_key = keys::set(&mut Settings::default(), "sysctls", &list).map_err(|e| e.to_string());
        let by_script =
            Script::parse(&["network".into(), format!("sysctl {name} 1"), "counter ListenDrops -> 0".into()])
                .map_err(|m| m.message);
        if good {
            assert_eq!((by_key, by_script.map(drop)), (Ok(()), Ok(())), "{name}");
        } else {
            let (by_key, by_script) = (by_key.unwrap_err(), by_script.unwrap_err());
            assert!(
                by_key.contains(&no_setting(name)) && by_script.contains(&no_setting(name)),
                "{by_key}; {by_script}"
            );
        }
    }

    #[test]
    fn settings_of_a_network_and_of_nothing_else() {
        check("net.core.somaxconn", true);
        check("net.bridge.bridge-nf-call-iptables", true);
        check("net.ipv4.conf.lo.rp_filter", true);
        for bad in ["kernel.pid_max", "net.", "net", "net..x", "net.core.", "net.../kernel", "net.core/somaxconn"] {
            check(bad, false);
        }
    }
}
