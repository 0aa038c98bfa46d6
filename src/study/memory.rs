//! What /proc says of the memory of this process.

use super::figures::Trouble;
use super::here::kib;

/// In KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Address space (VmSize).
    pub size: u64,
    /// Pages that are there. From smaps_rollup, which counts them; VmRSS of status is
    /// summed up per CPU and may be some hundred KiB off.
    pub resident: u64,
    /// Of these, those that are nobody else's and no part of a file. The same as `resident`
    /// where smaps_rollup does not say it.
    pub anonymous: u64,
    /// Page tables (VmPTE).
    pub tables: u64,
    /// Kernel stacks of the whole machine, from /proc/meminfo; `None` where it is not said.
    pub kernel_stacks: Option<u64>,
}

fn read(path: &str) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(|e| Trouble::Broken(format!("{path}: {e}")))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)).and_then(kib)
}

impl Memory {
    pub fn now() -> Result<Memory, Trouble> {
        let status = read("/proc/self/status")?;
        let of_status = |name| field(&status, name).ok_or(Trouble::Broken(format!("/proc/self/status has no {name}")));
        // Linux before 4.14 has no such file.
        let counted = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let resident = field(&counted, "Rss:").map_or_else(|| of_status("VmRSS:"), Ok)?;
        Ok(Memory {
            size: of_status("VmSize:")?,
            resident,
            anonymous: field(&counted, "Anonymous:").unwrap_or(resident),
            tables: of_status("VmPTE:")?,
            kernel_stacks: field(&read("/proc/meminfo")?, "KernelStack:"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmPeak:\t  10 kB\nVmSize:\t 123 kB\nVmRSS:\t   7 kB\n";
        assert_eq!((field(text, "VmSize:"), field(text, "VmRSS:"), field(text, "VmPTE:")), (Some(123), Some(7), None));
        let now = Memory::now().unwrap();
        assert!(now.resident > 0 && now.size > now.resident, "{now:?}");
    }
}
