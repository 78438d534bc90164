//! How the app names what was done.

use super::open_struct::open_struct;
use super::{ErrorCode, Text};

open_struct! {
    /// How the app names what was done, and how it went wrong; each field is absent when empty.
    Classification, sparse {
        /// The functional area, such as `security.user`.
        domain: Text,
        /// What was done there, such as `update`.
        action: Text,
        /// How it went wrong: a code of the closed list. Derived from the status unless the handler says otherwise.
        error: ErrorCode,
    }
}
