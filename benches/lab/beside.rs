//! What runs beside the lab, or instead of it: processes that burn CPU time, and
//! the bare threads whose rate is the floor. Nothing of the lab is in here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use herd::sys::cpus;
use socket2::{Domain, Socket, Type};

/// Argument that turns this program into one that only burns CPU time.
pub const SPIN: &str = "--spin-until-parent-dies";

/// Connections per second of the least code that does the same: no lab at all.
///
/// The client is pinned to the CPU that the lab makes its events on: other load
/// is not the same on all CPUs, and must hit both alike.
pub fn bare_rate(events: u64) -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let accepted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..events {
                let connection = listener.accept().expect("a client comes");
                accepted.fetch_add(1, Ordering::Release);
                drop(connection);
            }
        });
        let client = scope.spawn(|| {
            pin_to_last();
            let start = Instant::now();
            for event in 1..=events {
                let client = connect(address);
                while accepted.load(Ordering::Acquire) < event {
                    let _ = nix::sched::sched_yield();
                }
                drop(client);
            }
            events as f64 / start.elapsed().as_secs_f64()
        });
        client.join().expect("it does not panic")
    })
}

/// Connections per second of one thread that connects, accepts and closes: nobody
/// sleeps and nobody wakes. Pinned to the same CPU.
pub fn alone_rate(events: u64) -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let thread = std::thread::spawn(move || {
        pin_to_last();
        let start = Instant::now();
        for _ in 0..events {
            let client = connect(address);
            drop(listener.accept().expect("it is there"));
            drop(client);
        }
        events as f64 / start.elapsed().as_secs_f64()
    });
    thread.join().expect("it does not panic")
}

fn pin_to_last() {
    let mine = cpus::allowed().expect("our own mask");
    cpus::pin_to(*mine.last().expect("a thread has a CPU")).expect("a CPU of our own mask");
}

/// A client that leaves no TIME_WAIT behind, as the lab's.
fn connect(address: SocketAddr) -> Socket {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    client.set_linger(Some(Duration::ZERO)).expect("a valid option");
    client.connect(&address.into()).expect("the backlog has room");
    client
}

/// Processes that burn CPU time until dropped.
pub struct Spinners(Vec<Child>);

impl Spinners {
    pub fn start(count: usize) -> Spinners {
        let me = std::env::current_exe().expect("our own path");
        let one = || Command::new(&me).arg(SPIN).arg(std::process::id().to_string()).spawn().expect("our own program");
        Spinners((0..count).map(|_| one()).collect())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn spin() -> ! {
    let parent = std::env::args().next_back().and_then(|pid| pid.parse().ok()).expect("given by Spinners::start");
    herd::sys::fork::die_with(nix::unistd::Pid::from_raw(parent)).expect("the parent lives");
    loop {
        std::hint::spin_loop();
    }
}
