//! The metrics of studies: what each is called, its unit, what it means. A study measures
//! them itself and says them by name; a test holds the two against each other.
//!
//! The value is the median of the samples; rules with `min` and `max` hold for all of them.

use super::metrics::Metric;

macro_rules! figure {
    ($name:literal, $unit:literal, $about:literal) => {
        Metric { name: $name, unit: $unit, about: $about, per_event: false, compute: None }
    };
}

/// Every figure, in the order of `herd list --metrics`.
pub const FIGURES: &[Metric] = &[
    figure!("tasks_made", "tasks", "threads and processes that a study made"),
    figure!("tasks_reaped", "tasks", "of these, those it saw end: joined or waited for"),
    figure!("state_r", "tasks", "in state R: on a CPU, or ready for one"),
    figure!("state_s", "tasks", "in state S: asleep, and a signal wakes it"),
    figure!("state_d", "tasks", "in state D: asleep, and only what it waits for wakes it"),
    figure!("state_t", "tasks", "in state T: stopped by a signal"),
    figure!("state_z", "tasks", "in state Z: ended, and not waited for yet"),
    figure!("call_ns", "ns", "CPU time of one call, with the loop around it"),
    figure!("call_cycles", "cycles", "the same in ticks of the time stamp counter (x86)"),
    figure!("hop_ns", "ns", "CPU time of all who take part, for the work to go from one task to the next"),
    figure!("hop_wall_ns", "ns", "the time that passes meanwhile"),
    figure!("switches_per_hop", "switches per hop", "context switches of all who take part"),
    figure!("hops", "hops", "of one sample"),
    figure!("spawn_us", "us", "time to make a task, let it end and see it end"),
    figure!("spawn_cpu_us", "us", "CPU time of that, of maker and made together"),
    figure!("pages", "pages", "written once each"),
    figure!("faults", "faults", "page faults meanwhile"),
    figure!("faults_per_page", "faults per page", "the same for one page"),
    figure!("fault_ns", "ns", "CPU time of writing one page, with the fault if there is one"),
    figure!("child_first", "forks", "in which the child began before the parent was back"),
    figure!("child_start_us", "us", "after the parent's return from fork the child began; negative: before"),
    figure!("virtual_kib", "KiB per thread", "address space"),
    figure!("resident_kib", "KiB per thread", "memory that is really there"),
    figure!("kernel_stack_kib", "KiB per thread", "stacks in the kernel, from figures of the whole machine"),
    figure!("page_table_kib", "KiB per thread", "page tables"),
    figure!("threads_started", "threads", "before pthread_create refused, or all that were asked for"),
    figure!("virtual_mib", "MiB", "address space of the process then"),
    figure!("resident_mib", "MiB", "its memory that is really there"),
    figure!("voluntary", "switches", "context switches that a task made itself, because it waits"),
    figure!("involuntary", "switches", "those by which the CPU was taken from it"),
    figure!("voluntary_share", "part of the switches", "the first among both"),
    figure!("survivors", "workers", "still there after one of them crashed"),
];
