//! The BPF programs that decide who is awake and what a wakeup was good for, and
//! the layout of the memory they write.
//!
//! It only writes instructions down. It must never return 0 from a program: a
//! BPF program on a tracepoint filters that tracepoint for every perf user of
//! the machine, and 0 silences them all.
//!
//! The rule. `total` counts the watched tasks whose flag is set, plus the wakes
//! that are on their way:
//!
//! ```text
//! waking(p)       total += 1                          a wake is on its way
//! wakeup(p)       p.flag ? total -= 1 : p.flag = 1    the wake becomes the flag
//! switch out(p)   sleeping, not in D, and p.flag: p.flag = 0, total -= 1
//! switch in(p)    not p.flag: p.flag = 1, total += 1  (see below)
//! ```
//!
//! So a wake that collides with the switch-out of its task never shows as
//! asleep, and a lost event leaves `total` off 0 for good: the run is then
//! never quiet, instead of wrong.
//!
//! Why a plain load and store of the flag do. `sched_wakeup` and `sched_switch`
//! of one task are serialised by the lock of the run queue it is on, and moving
//! to another queue waits for `on_cpu` to fall (try_to_wake_up, __schedule). A
//! task that wakes itself (`p == current`) takes no such lock, but is running:
//! its flag is set, and all who look at it find it set. `sched_waking` is
//! serialised with nothing, and touches only atomic counters.
//!
//! A task in state D waits for a lock in the middle of something and is on its way
//! to its wait or out of it: awake, for who asks whether all rest. On PREEMPT_RT
//! that is every spin lock that is taken (TASK_RTLOCK_WAIT, which the tracepoint
//! shows as D since 5.18, 25795ef6299f, and as runnable in 5.15 to 5.17), and its
//! holder may be a thread of the kernel that is not watched.
//!
//! In a server that is not ours nobody says what a wakeup was for. There `switch` also
//! sorts the sleeps, by what `call` saw end since the last one:
//!
//! ```text
//! call ended(p)   p.returned = 1; accept: >= 0: p.took = 1, EAGAIN: p.refused = 1
//! switch out(p)   in S: took, else refused, else returned (other), else p.within += 1
//! call ended(p)   one of calls::listening: hidden += p.within; p.within = 0
//! ```
//!
//! So a sleep in the middle of a call is sorted once the call ends, by which call it is:
//! who sends a long answer sleeps often as well, and that is no herd.
//!
//! Both run with p as current and with preemption off, so plain stores do.
//!
//! The rule of switch in covers a switch-out that said "sleeping" of a task
//! that did not sleep: Linux 5.18 to 6.13 report so when a signal is pending.

use std::os::fd::RawFd;

use super::bpf_asm::{Asm, FP, Helper, Insn, Label, R0, R1, R2, R6, R7, R8, Reg, Size};
use super::calls::{ACCEPT, listening};
use super::tracepoint::{Field, Tracepoint, TracepointError};

/// Bytes per slot: whole cache lines, so that no two slots share one.
pub const SLOT_BYTES: usize = 192;
/// The element of the array that holds the total; worker slots follow it.
pub const TOTAL_INDEX: usize = 0;

// Offsets in an element. The total is the only word used of element 0.
pub const TOTAL: usize = 0;
pub const WAKINGS: usize = 0;
pub const WAKEUPS: usize = 8;
pub const SLEEPS: usize = 16;
pub const D_SLEEPS: usize = 24;
pub const PREEMPTED: usize = 32;
pub const T_WAKING: usize = 40;
pub const T_WAKEUP: usize = 48;
pub const T_SWITCH_IN: usize = 56;
pub const T_SWITCH_OUT: usize = 64;
pub const FLAG: usize = 72;
pub const CPU_WAKING: usize = 80;
pub const WAKER: usize = 84;
pub const CPU_IN: usize = 88;
// Written in servers that are not ours alone. The first three are marks.
pub const RETURNED: usize = 92;
pub const GOT: usize = 96;
pub const REFUSED: usize = 100;
pub const ACCEPTS: usize = 104;
pub const EMPTIES: usize = 112;
pub const TURNS_TOOK: usize = 120;
pub const TURNS_REFUSED: usize = 128;
pub const TURNS_HIDDEN: usize = 136;
/// Sleeps in the middle of the call that has not ended yet.
pub const WITHIN: usize = 144;

/// Sleeping states in `prev_state`. Running is 0, and 0x100 marks a task that
/// was preempted (TASK_REPORT_MAX, "R+"), so neither is in the mask.
const SLEEPING: i32 = 0xff;
/// TASK_INTERRUPTIBLE, "S".
const INTERRUPTIBLE: i32 = 1;
/// TASK_UNINTERRUPTIBLE, "D".
const UNINTERRUPTIBLE: i32 = 2;

/// Where the helpers find their keys: below the frame pointer.
const TID_KEY: i16 = -4;
const INDEX_KEY: i16 = -8;

/// The two maps: thread id to index, and the array of elements.
#[derive(Clone, Copy)]
pub struct Maps {
    pub tids: RawFd,
    pub slots: RawFd,
}

/// `sched_waking`: somebody decided to wake the task.
pub fn waking(tracepoint: &Tracepoint, maps: Maps) -> Result<Vec<Insn>, TracepointError> {
    let tid = tracepoint.field("pid")?;
    let mut asm = Asm::default();
    let done = asm.label();
    asm.mov(R6, R1);
    find_slot(&mut asm, maps, tid, done);
    add(&mut asm, R7, WAKINGS, 1);
    store_time(&mut asm, T_WAKING);
    store_cpu(&mut asm, CPU_WAKING);
    // The low half is the thread id of `current`; in an interrupt that is
    // whoever was interrupted, 0 for the idle task.
    asm.call(Helper::GetCurrentPidTgid);
    asm.store(Size::U32, R7, WAKER as i16, R0);
    add_to_total(&mut asm, maps, 1, done);
    finish(asm, done)
}

/// `sched_wakeup`: the task is on a run queue again.
pub fn wakeup(tracepoint: &Tracepoint, maps: Maps) -> Result<Vec<Insn>, TracepointError> {
    let tid = tracepoint.field("pid")?;
    let mut asm = Asm::default();
    let (done, was_set) = (asm.label(), asm.label());
    asm.mov(R6, R1);
    find_slot(&mut asm, maps, tid, done);
    add(&mut asm, R7, WAKEUPS, 1);
    store_time(&mut asm, T_WAKEUP);
    asm.load(Size::U64, R1, R7, FLAG as i16);
    asm.jump_if_ne(R1, 0, was_set);
    asm.store_imm(Size::U64, R7, FLAG as i16, 1);
    asm.jump(done);
    asm.bind(was_set);
    add_to_total(&mut asm, maps, -1, done);
    finish(asm, done)
}

/// `sys_exit`: a call of the current task ends. Which connections it got.
pub fn call(tracepoint: &Tracepoint, maps: Maps) -> Result<Vec<Insn>, TracepointError> {
    let number = tracepoint.field("id")?;
    let result = tracepoint.field("ret")?;
    let mut asm = Asm::default();
    let (accept, refused, done) = (asm.label(), asm.label(), asm.label());
    asm.mov(R6, R1);
    asm.call(Helper::GetCurrentPidTgid);
    // The low half is the thread id.
    asm.store(Size::U32, FP, TID_KEY, R0);
    find_slot_of_key(&mut asm, maps, done);
    asm.store_imm(Size::U32, R7, RETURNED as i16, 1);
    sort_within(&mut asm, number);
    asm.load(long(number), R1, R6, number.offset);
    for call in ACCEPT {
        asm.jump_if_eq(R1, *call as i32, accept);
    }
    asm.jump(done);
    asm.bind(accept);
    asm.load(long(result), R1, R6, result.offset);
    asm.jump_if_eq(R1, -libc::EAGAIN, refused);
    asm.jump_if_below(R1, 0, done);
    add(&mut asm, R7, ACCEPTS, 1);
    asm.store_imm(Size::U32, R7, GOT as i16, 1);
    asm.jump(done);
    asm.bind(refused);
    add(&mut asm, R7, EMPTIES, 1);
    asm.store_imm(Size::U32, R7, REFUSED as i16, 1);
    finish(asm, done)
}

/// The sleeps in the middle of the call that ends, by its number; R7 is the slot.
fn sort_within(asm: &mut Asm, number: Field) {
    let (none, listens, sorted) = (asm.label(), asm.label(), asm.label());
    asm.load(Size::U64, R8, R7, WITHIN as i16);
    asm.jump_if_eq(R8, 0, none);
    asm.load(long(number), R1, R6, number.offset);
    for call in listening() {
        asm.jump_if_eq(R1, call as i32, listens);
    }
    asm.jump(sorted);
    asm.bind(listens);
    asm.atomic_add(R7, TURNS_HIDDEN as i16, R8);
    asm.bind(sorted);
    asm.store_imm(Size::U64, R7, WITHIN as i16, 0);
    asm.bind(none);
}

/// `long`, so 4 bytes on a 32-bit kernel.
fn long(field: Field) -> Size {
    if field.size == 8 { Size::U64 } else { Size::U32 }
}

/// `sched_switch`: one task leaves a CPU and another takes it. `sort` the sleeps by
/// what `call` saw.
pub fn switch(tracepoint: &Tracepoint, maps: Maps, sort: bool) -> Result<Vec<Insn>, TracepointError> {
    let prev = tracepoint.field("prev_pid")?;
    let state = tracepoint.field("prev_state")?;
    let next = tracepoint.field("next_pid")?;
    let mut asm = Asm::default();
    let (arrive, done) = (asm.label(), asm.label());
    asm.mov(R6, R1);
    leave(&mut asm, maps, prev, state, sort, arrive);
    asm.bind(arrive);
    find_slot(&mut asm, maps, next, done);
    store_time(&mut asm, T_SWITCH_IN);
    store_cpu(&mut asm, CPU_IN);
    asm.load(Size::U64, R1, R7, FLAG as i16);
    asm.jump_if_ne(R1, 0, done);
    asm.store_imm(Size::U64, R7, FLAG as i16, 1);
    add_to_total(&mut asm, maps, 1, done);
    finish(asm, done)
}

/// The half of `switch` for the task that leaves; goes on at `arrive`.
fn leave(asm: &mut Asm, maps: Maps, prev: Field, state: Field, sort: bool, arrive: Label) {
    let (sleeping, other, counted) = (asm.label(), asm.label(), asm.label());
    find_slot(asm, maps, prev, arrive);
    store_time(asm, T_SWITCH_OUT);
    asm.load(long(state), R8, R6, state.offset);
    asm.and_imm(R8, SLEEPING);
    asm.jump_if_ne(R8, 0, sleeping);
    add(asm, R7, PREEMPTED, 1);
    asm.jump(arrive);
    asm.bind(sleeping);
    asm.jump_if_ne(R8, INTERRUPTIBLE, other);
    add(asm, R7, SLEEPS, 1);
    if sort {
        sort_sleep(asm);
    }
    asm.jump(counted);
    asm.bind(other);
    add(asm, R7, D_SLEEPS, 1);
    // Not so whoever stops or dies: it comes back to nothing.
    asm.jump_if_eq(R8, UNINTERRUPTIBLE, arrive);
    asm.bind(counted);
    // The total comes last: who reads 0 finds all counts complete.
    asm.load(Size::U64, R1, R7, FLAG as i16);
    asm.jump_if_eq(R1, 0, arrive);
    asm.store_imm(Size::U64, R7, FLAG as i16, 0);
    add_to_total(asm, maps, -1, arrive);
}

/// What the wakeup was good for that ends in this sleep; R7 is the slot.
fn sort_sleep(asm: &mut Asm) {
    let (sorted, hidden) = (asm.label(), asm.label());
    let (got, refused) = (asm.label(), asm.label());
    for (mark, to) in [(GOT, got), (REFUSED, refused)] {
        asm.load(Size::U32, R1, R7, mark as i16);
        asm.jump_if_ne(R1, 0, to);
    }
    asm.load(Size::U32, R1, R7, RETURNED as i16);
    asm.jump_if_eq(R1, 0, hidden);
    asm.jump(sorted);
    for (label, count) in [(got, TURNS_TOOK), (refused, TURNS_REFUSED), (hidden, WITHIN)] {
        asm.bind(label);
        add(asm, R7, count, 1);
        asm.jump(sorted);
    }
    asm.bind(sorted);
    for mark in [RETURNED, GOT, REFUSED] {
        asm.store_imm(Size::U32, R7, mark as i16, 0);
    }
}

/// R7 = the slot of the task whose thread id is in field `tid` of the context
/// (R6); on to `unwatched` if we do not watch it.
fn find_slot(asm: &mut Asm, maps: Maps, tid: Field, unwatched: Label) {
    asm.load(Size::U32, R1, R6, tid.offset);
    asm.store(Size::U32, FP, TID_KEY, R1);
    find_slot_of_key(asm, maps, unwatched);
}

/// The same with the thread id on the stack.
fn find_slot_of_key(asm: &mut Asm, maps: Maps, unwatched: Label) {
    lookup(asm, maps.tids, TID_KEY, unwatched);
    asm.load(Size::U32, R1, R0, 0);
    asm.store(Size::U32, FP, INDEX_KEY, R1);
    lookup(asm, maps.slots, INDEX_KEY, unwatched);
    asm.mov(R7, R0);
}

/// total += by. The verifier wants the lookup checked; it never fails.
fn add_to_total(asm: &mut Asm, maps: Maps, by: i32, absent: Label) {
    asm.store_imm(Size::U32, FP, INDEX_KEY, TOTAL_INDEX as i32);
    lookup(asm, maps.slots, INDEX_KEY, absent);
    asm.mov(R8, R0);
    add(asm, R8, TOTAL, by);
}

/// R0 = the element of `map` whose key lies at FP + `key`.
fn lookup(asm: &mut Asm, map: RawFd, key: i16, absent: Label) {
    asm.map(R1, map);
    asm.mov(R2, FP);
    asm.add_imm(R2, i32::from(key));
    asm.call(Helper::MapLookupElem);
    asm.jump_if_eq(R0, 0, absent);
}

/// *(u64 *)(element + off) += by, atomically.
fn add(asm: &mut Asm, element: Reg, off: usize, by: i32) {
    asm.mov_imm(R1, by);
    asm.atomic_add(element, off as i16, R1);
}

/// Stores CLOCK_MONOTONIC, the clock of the ledger.
fn store_time(asm: &mut Asm, off: usize) {
    asm.call(Helper::KtimeGetNs);
    asm.store(Size::U64, R7, off as i16, R0);
}

fn store_cpu(asm: &mut Asm, off: usize) {
    asm.call(Helper::GetSmpProcessorId);
    asm.store(Size::U32, R7, off as i16, R0);
}

fn finish(mut asm: Asm, done: Label) -> Result<Vec<Insn>, TracepointError> {
    asm.bind(done);
    asm.mov_imm(R0, 1);
    asm.exit();
    Ok(asm.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: Maps = Maps { tids: 3, slots: 4 };

    fn field(name: &str, offset: usize, size: usize) -> String {
        format!("\tfield:long {name};\toffset:{offset};\tsize:{size};\tsigned:1;\n")
    }

    fn ends_in_1(code: &[Insn]) {
        let mut asm = Asm::default();
        asm.mov_imm(R0, 1);
        asm.exit();
        let end = asm.finish();
        assert_eq!(code[code.len() - 2..], end);
        let exits = code.iter().filter(|&insn| *insn == end[1]).count();
        assert_eq!(exits, 1, "one way out, so no way to return 0");
    }

    #[test]
    fn every_program_returns_1() {
        let wake = Tracepoint::for_test("ID: 7\n".to_owned() + &field("pid", 24, 4));
        ends_in_1(&waking(&wake, MAPS).unwrap());
        ends_in_1(&wakeup(&wake, MAPS).unwrap());
        let text = field("prev_pid", 24, 4) + &field("prev_state", 32, 8);
        let text = "ID: 8\n".to_owned() + &text + &field("next_pid", 56, 4);
        for sort in [false, true] {
            ends_in_1(&switch(&Tracepoint::for_test(text.clone()), MAPS, sort).unwrap());
        }
        let text = "ID: 9\n".to_owned() + &field("id", 8, 8) + &field("ret", 16, 8);
        ends_in_1(&call(&Tracepoint::for_test(text), MAPS).unwrap());
    }

    #[test]
    fn a_format_without_our_field_is_an_error() {
        let other = Tracepoint::for_test("ID: 9\n".to_owned());
        assert!(switch(&other, MAPS, false).is_err());
    }
}
