//! How the app names what was done.

use super::ErrorCode;
use super::open_struct::open_struct;

open_struct! {
    /// How the app names what was done, and how it went wrong; each field is absent when empty.
    Classification, sparse {
        /// The functional area, such as `security.user`.
        domain: String,
        /// What was done there, such as `update`.
        action: String,
        /// How it went wrong: a code of the closed list. Derived from the status unless the handler says otherwise.
        error: ErrorCode,
    }
}
