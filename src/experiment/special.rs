//! Settings that only single waits have. Results that do not use them leave them out.

use serde::{Deserialize, Serialize};

/// The system call of poll, select and epoll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCall {
    /// What the C library makes of poll(), select() and epoll_wait().
    #[default]
    Plain,
    Ppoll,
    Pselect6,
    EpollPwait2,
}

/// Whose io_uring a worker waits on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RingOwner {
    /// Each worker has its own.
    #[default]
    Private,
    /// One for all threads of the process.
    Shared,
}

/// How an io_uring is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingSetup {
    #[default]
    Plain,
    /// IORING_SETUP_SINGLE_ISSUER.
    SingleIssuer,
    /// The same with IORING_SETUP_DEFER_TASKRUN.
    DeferTaskrun,
}

/// Whom the signals of the `sigio` wait are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalOwner {
    /// Every worker process.
    #[default]
    Group,
    /// The worker that registered last.
    Thread,
}

/// For `skip_serializing_if`.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
